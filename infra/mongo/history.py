"""`History` in MongoDB: what workers/history writes.

A batch is written messages → chats, each in one unordered bulk, and then looked at again: what a deletion overtook, or what
stands under somebody else's chat, is taken back. Writing it again changes nothing, so a batch that broke off is simply repeated.
"""

from collections.abc import Sequence

from pymongo import InsertOne, UpdateOne
from pymongo.errors import BulkWriteError

from contracts.commands import Question
from contracts.events import Outcome
from contracts.ports.stores import History
from contracts.recording import message_of_outcome, message_of_question
from contracts.records import Message
from infra.mongo.database import Collection, Document, MongoDatabase
from infra.mongo.documents import message_document, message_of, same
from infra.mongo.touches import ChatKey, Touches

DUPLICATE_KEY = 11000


class MongoHistory(History):
    """What stands already stays: the first message of an id wins."""

    def __init__(self, database: MongoDatabase) -> None:
        self._database = database

    async def record_questions(self, questions: Sequence[Question]) -> None:
        touches = Touches()
        for question in questions:
            touches.asked(question)
        await self._write(touches, [message_of_question(one) for one in questions])

    async def record_outcomes(self, outcomes: Sequence[Outcome]) -> Sequence[Message | None]:
        touches = Touches()
        messages: list[Message] = []
        for outcome in outcomes:
            touches.ended(outcome)
            messages += message_of_question(outcome.question), message_of_outcome(outcome)
        await self._write(touches, messages)
        return await self._held([one.question for one in outcomes])

    async def amend_last_event_id(self, reply_id: str, last_event_id: str) -> None:
        condition = {"_id": same(reply_id), "role": "assistant"}
        await self._database.run(self._messages.update_one(condition, {"$set": {"last_event_id": last_event_id}}))

    async def _write(self, touches: Touches, messages: Sequence[Message]) -> None:
        if not messages:
            return
        closed = await self._closed(touches.keys())
        first: dict[str, Message] = {}
        for message in messages:
            if (message.chat_id, message.owner) not in closed:
                first.setdefault(message.id, message)
        await self._bulk(self._messages, [InsertOne(message_document(one)) for one in first.values()])
        await self._touch(touches, list(touches.keys() - closed))
        for chat_id, owner in await self._closed(touches.keys()):
            await self._database.run(self._messages.delete_many({"chat_id": same(chat_id), "owner": same(owner)}))

    async def _closed(self, keys: set[ChatKey]) -> set[ChatKey]:
        """Those under which nothing may be written: deleted, or somebody else's. A chat that is nowhere yet is open."""
        wanted = {"_id": {"$in": [chat_id for chat_id, _ in keys]}}
        chats = await self._database.run(self._chats.find(wanted, {"owner": 1, "deleted": 1}).to_list())
        standing = {one["_id"]: one for one in chats}
        return {key for key in keys if key[0] in standing and not _is_open(standing[key[0]], key[1])}

    async def _touch(self, touches: Touches, keys: Sequence[ChatKey]) -> None:
        """A chat that somebody else began at the same moment is there now: found without an upsert, if it is the same owner's."""
        refused = await self._bulk(self._chats, [touches.change(key, upsert=True) for key in keys])
        await self._bulk(self._chats, [touches.change(keys[place], upsert=False) for place in refused])

    async def _bulk(
        self, collection: Collection, operations: Sequence[InsertOne[Document] | UpdateOne]
    ) -> Sequence[int]:
        """Write them in any order; the places of those whose key was taken."""
        if not operations:
            return []
        try:
            await self._database.run(collection.bulk_write(operations, ordered=False))
        except BulkWriteError as error:
            failed = error.details["writeErrors"]
            if any(one["code"] != DUPLICATE_KEY for one in failed):
                raise
            return [one["index"] for one in failed]
        return []

    async def _held(self, questions: Sequence[Question]) -> Sequence[Message | None]:
        """The reply to each, as it stands; None where its chat is not this person's to write in (or its id taken elsewhere)."""
        wanted = {"_id": {"$in": [one.reply_id for one in questions]}}
        found = [message_of(one) for one in await self._database.run(self._messages.find(wanted).to_list())]
        held = {(one.id, one.chat_id, one.owner): one for one in found}
        return [held.get((one.reply_id, one.chat_id, one.owner)) for one in questions]

    @property
    def _chats(self) -> Collection:
        return self._database.collection("chats")

    @property
    def _messages(self) -> Collection:
        return self._database.collection("messages")


def _is_open(chat: Document, owner: str) -> bool:
    return chat["owner"] == owner and not chat["deleted"]
