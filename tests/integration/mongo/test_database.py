"""The database itself: which one, what it promises, its indexes and who uses them."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from typing import Any
from urllib.parse import urlsplit

import pytest
from pymongo.errors import (
    BulkWriteError,
    DuplicateKeyError,
    ExecutionTimeout,
    NotPrimaryError,
    OperationFailure,
    PyMongoError,
    WaitQueueTimeoutError,
    WriteConcernError,
    WTimeoutError,
)

from contracts.errors import Unavailable
from infra.mongo.database import MongoDatabase
from infra.mongo.indexes import INDEXES


@pytest.fixture
async def database(new_mongo_url: Callable[[], str]) -> AsyncGenerator[MongoDatabase]:
    async with MongoDatabase(new_mongo_url()) as opened:
        yield opened


async def test_the_url_names_the_database(new_mongo_url: Callable[[], str]) -> None:
    url = new_mongo_url()
    async with MongoDatabase(url) as database:
        assert database.collection("chats").database.name == urlsplit(url).path[1:]


async def test_without_a_name_it_is_ollamanet(new_mongo_url: Callable[[], str]) -> None:
    database = MongoDatabase(urlsplit(new_mongo_url())._replace(path="/", query="").geturl())
    with pytest.raises(RuntimeError, match="not entered"):
        database.collection("chats")
    assert (await _name_of(database)) == "ollamanet"


async def test_writes_wait_for_the_majority_and_its_journal_whatever_the_url_says(
    new_mongo_url: Callable[[], str],
) -> None:
    url = urlsplit(new_mongo_url())
    lax = url._replace(query="&".join(filter(None, (url.query, "w=0&journal=false&readConcernLevel=local")))).geturl()
    async with MongoDatabase(lax) as database:
        chats = database.collection("chats")
        assert chats.write_concern.document == {"w": "majority", "j": True, "wtimeout": 5000}
        assert chats.read_concern.level == "majority"


async def test_processes_that_start_at_once_make_the_same_indexes(new_mongo_url: Callable[[], str]) -> None:
    url = new_mongo_url()

    async def indexes() -> dict[str, set[str]]:
        async with MongoDatabase(url) as database:
            return {name: set(await database.collection(name).index_information()) for name in INDEXES}

    expected = {name: {"_id_", *(one.document["name"] for one in made)} for name, made in INDEXES.items()}
    assert await asyncio.gather(*(indexes() for _ in range(4))) == [expected] * 4


@pytest.mark.parametrize(
    ("collection", "condition", "order", "index"),
    [
        ("chats", {"owner": "a", "deleted": False}, [("updated_at", -1), ("_id", -1)], "by_owner"),
        ("messages", {"chat_id": "a", "owner": "b"}, [("_id", 1)], "by_chat"),
        ("messages", {"generation_id": "a"}, [], "by_generation"),
        ("sessions", {"tokens.hash": "a"}, [], "one_by_token"),
        ("accounts", {"email": "a"}, [], "one_by_email"),
    ],
)
async def test_no_query_walks_through_a_collection(
    database: MongoDatabase, collection: str, condition: dict[str, Any], order: list[tuple[str, int]], index: str
) -> None:
    cursor = database.collection(collection).find(condition)
    plan = str((await (cursor.sort(order) if order else cursor).explain())["queryPlanner"]["winningPlan"])
    assert "IXSCAN" in plan
    assert f"'{index}'" in plan
    assert "COLLSCAN" not in plan


FULL, DUPLICATE = {"code": 14031}, {"code": 11000}


@pytest.mark.parametrize(
    ("error", "passes"),
    [
        (NotPrimaryError("stepped down"), True),
        (WaitQueueTimeoutError("busy"), True),
        (ExecutionTimeout("slow", 50), True),
        (WTimeoutError("no majority", 64), True),
        (WriteConcernError("no majority", 100), True),
        (OperationFailure("shutting down", 91), True),
        (OperationFailure("disk full", 14031), True),
        (BulkWriteError({"writeErrors": [FULL], "writeConcernErrors": []}), True),
        (BulkWriteError({"writeErrors": [DUPLICATE], "writeConcernErrors": [{"code": 64}]}), True),
        (BulkWriteError({"writeErrors": [DUPLICATE], "writeConcernErrors": []}), False),
        (DuplicateKeyError("taken", 11000), False),
        (OperationFailure("authentication failed", 18), False),
        (OperationFailure("unknown operator", 2), False),
    ],
    ids=str,
)
async def test_only_what_passes_is_unavailable(error: PyMongoError, passes: bool) -> None:
    async def call() -> None:
        raise error

    with pytest.raises(Unavailable if passes else type(error)) as raised:
        await MongoDatabase("mongodb://127.0.0.1").run(call())
    assert (raised.value.__cause__ is error) == passes


async def _name_of(database: MongoDatabase) -> str:
    async with database:
        return database.collection("chats").database.name
