"""A MongoDB that is away, comes back, or was never there."""

import asyncio
import gc
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator, Iterator
from pathlib import Path

import pytest

from contracts.errors import Unavailable
from contracts.ids import new_id
from infra.mongo.chats import MongoChats
from infra.mongo.database import MongoDatabase
from infra.mongo.history import MongoHistory
from infra.mongo.leases import MongoLeases
from tests.eventually import eventually
from tests.factories import completed, question
from tests.servers.mongo import MongoServer
from tests.servers.shared import free_port

# PyMongo leaves a socket open whose server went between its connect and its first use
pytestmark = pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")


@pytest.fixture(autouse=True)
def _collected() -> Iterator[None]:
    """What is left open is collected here, where it is known, and not in somebody else's test."""
    yield
    gc.collect()


@pytest.fixture
def server(tmp_path: Path) -> Generator[MongoServer, None, None]:
    """One of the test's own."""
    try:
        own = MongoServer(tmp_path)
    except FileNotFoundError as missing:
        pytest.skip(str(missing))
    own.start()
    yield own
    own.kill()


@pytest.fixture
async def database(server: MongoServer) -> AsyncGenerator[MongoDatabase]:
    async with MongoDatabase(f"{server.url}/outages") as opened:
        yield opened


async def test_entering_says_when_no_server_answers() -> None:
    with pytest.raises(Unavailable, match="MongoDB does not answer"):
        async with MongoDatabase(f"mongodb://127.0.0.1:{free_port()}/nobody"):
            pass


@pytest.mark.parametrize("end", [MongoServer.stop, MongoServer.kill], ids=["stopped", "killed"])
async def test_a_restart_is_survived_without_opening_again(
    server: MongoServer, database: MongoDatabase, end: Callable[[MongoServer], None]
) -> None:
    history, chats, leases = MongoHistory(database), MongoChats(database), MongoLeases(database)
    one, two = question(), question()
    await history.record_outcomes([completed(one)])
    await asyncio.to_thread(end, server)
    calls: tuple[Callable[[], Awaitable[object]], ...] = (
        database.check,
        lambda: chats.get(one.owner, one.chat_id),
        lambda: chats.delete(one.owner, one.chat_id, one.asked_at),
        lambda: history.record_outcomes([completed(two)]),
        lambda: leases.acquire("x", "a", 60),
    )
    refused = await asyncio.gather(*(call() for call in calls), return_exceptions=True)
    assert [type(each) for each in refused] == [Unavailable] * len(calls)
    await asyncio.to_thread(server.start)
    await eventually(lambda: _answers(database))
    assert len(await chats.messages(one.owner, one.chat_id)) == 2  # what was told as recorded, after a kill too
    (held,) = await history.record_outcomes([completed(two)])
    assert held is not None
    assert await leases.acquire("x", "a", 60)


async def test_calls_under_way_when_the_server_dies_end_as_unavailable_or_done(
    server: MongoServer, database: MongoDatabase
) -> None:
    history, chats = MongoHistory(database), MongoChats(database)
    outcomes = [completed(question()) for _ in range(200)]
    under_way = [asyncio.create_task(history.record_outcomes([one])) for one in outcomes]
    await eventually(lambda: any(task.done() for task in under_way))
    await asyncio.to_thread(server.kill)
    ended = await asyncio.gather(*under_way, return_exceptions=True)
    assert {type(each) for each in ended if isinstance(each, BaseException)} == {Unavailable}
    await asyncio.to_thread(server.start)
    await eventually(lambda: _answers(database))
    for outcome, result in zip(outcomes, ended, strict=True):
        if not isinstance(result, BaseException):
            assert await chats.reply(outcome.question.owner, outcome.question.generation_id) == result[0]
    again = await history.record_outcomes(outcomes)
    assert [one and one.id for one in again] == [one.question.reply_id for one in outcomes]


async def test_a_database_that_was_left_closes_its_connections(server: MongoServer) -> None:
    async with MongoDatabase(f"{server.url}/left") as database:
        await MongoLeases(database).acquire("x", new_id(), 1)
        clients = asyncio.all_tasks()
    await eventually(lambda: not [task for task in clients & asyncio.all_tasks() if "pymongo" in repr(task.get_coro())])


async def _answers(database: MongoDatabase) -> bool:
    try:
        await database.check()
    except Unavailable:
        return False
    return True
