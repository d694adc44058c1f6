"""What stands in MongoDB beneath the port: nothing of a deleted chat, and nothing half done that a repetition does not mend."""

from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import TypeVar

import pytest

from contracts.errors import Unavailable
from contracts.ids import new_id
from infra.mongo.chats import MongoChats
from infra.mongo.database import Document, MongoDatabase
from infra.mongo.history import MongoHistory
from tests.factories import completed, question

T = TypeVar("T")
CALLS = 4
"""Round trips of a batch of new outcomes."""


class Interrupted(MongoDatabase):
    """A database with which something happens right after a call of this number."""

    def __init__(self, url: str, after: int, happens: Callable[[], Awaitable[object]]) -> None:
        super().__init__(url)
        self.left: int | None = None
        self._after, self._happens = after, happens

    def arm(self) -> None:
        self.left = self._after

    async def run(self, call: Awaitable[T]) -> T:
        result = await super().run(call)
        if self.left is not None:
            self.left -= 1
            if self.left == 0:
                await self._happens()
        return result


@pytest.fixture
def url(new_mongo_url: Callable[[], str]) -> str:
    return new_mongo_url()


@pytest.fixture
async def database(url: str) -> AsyncGenerator[MongoDatabase]:
    async with MongoDatabase(url) as opened:
        yield opened


async def standing(database: MongoDatabase, collection: str) -> list[Document]:
    return await database.collection(collection).find().to_list()


@pytest.mark.parametrize("after", range(1, CALLS + 1))
@pytest.mark.parametrize("known", [False, True], ids=["a new chat", "a known chat"])
async def test_a_deletion_between_any_two_writes_of_a_batch_leaves_no_text(
    url: str, database: MongoDatabase, after: int, known: bool
) -> None:
    one, other = question(), question()
    chats = MongoChats(database)

    async def delete() -> None:
        await chats.delete(one.owner, one.chat_id, one.asked_at)

    async with Interrupted(url, after, delete) as interrupted:
        if known:
            await MongoHistory(database).record_questions([one])
        interrupted.arm()
        held = await MongoHistory(interrupted).record_outcomes([completed(one), completed(other)])
        assert interrupted.left is not None
        assert interrupted.left <= 0
    assert held[1] is not None
    assert {each["chat_id"] for each in await standing(database, "messages")} == {other.chat_id}
    assert await chats.deleted(one.owner, one.chat_id)
    (tombstone,) = [each for each in await standing(database, "chats") if each["_id"] == one.chat_id]
    assert tombstone["title"] == ""
    assert await MongoHistory(database).record_outcomes([completed(one)]) == [None]


@pytest.mark.parametrize("after", range(1, CALLS + 1))
async def test_a_batch_that_broke_off_is_mended_by_repeating_it(url: str, database: MongoDatabase, after: int) -> None:
    owner, chat = new_id(), new_id()
    outcomes = [completed(question(owner=owner, chat_id=chat, content=f"Question {n}")) for n in range(3)]

    async def die() -> None:
        raise Unavailable("gone")

    async with Interrupted(url, after, die) as interrupted:
        interrupted.arm()
        with pytest.raises(Unavailable):
            await MongoHistory(interrupted).record_outcomes(outcomes)
        again = await MongoHistory(interrupted).record_outcomes(outcomes)
    assert [one and one.id for one in again] == [one.question.reply_id for one in outcomes]
    assert len(await standing(database, "messages")) == 6
    assert [one.title for one in (await MongoChats(database).page(owner, 10, None)).items] == ["Question 0"]


@pytest.mark.parametrize("after", range(1, CALLS + 1))
async def test_a_chat_that_somebody_else_begins_between_two_writes_stays_theirs(
    url: str, database: MongoDatabase, after: int
) -> None:
    mine = question()
    theirs = question(chat_id=mine.chat_id)

    async def begin() -> None:
        await MongoHistory(database).record_questions([theirs])

    async with Interrupted(url, after, begin) as interrupted:
        interrupted.arm()
        (held,) = await MongoHistory(interrupted).record_outcomes([completed(mine)])
    owners = {each["owner"] for each in await standing(database, "messages")}
    assert owners == {each["owner"] for each in await standing(database, "chats")}
    assert owners == {mine.owner if held else theirs.owner}


async def test_messages_that_a_deletion_left_behind_go_with_the_next_late_event(database: MongoDatabase) -> None:
    one = question()
    chats, history = MongoChats(database), MongoHistory(database)
    await history.record_outcomes([completed(one)])
    await database.collection("chats").update_one(
        {"_id": one.chat_id}, {"$set": {"deleted": True}}
    )  # and it died there
    assert await chats.messages(one.owner, one.chat_id) == []
    assert await chats.reply(one.owner, one.generation_id) is None
    assert await history.record_outcomes([completed(one)]) == [None]
    assert await standing(database, "messages") == []
