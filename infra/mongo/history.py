"""`History` in MongoDB: what workers/history writes.

A batch is written messages → chats, each in one unordered bulk, and then looked at again: what a deletion overtook, or what
stands under somebody else's chat, is taken back. Writing it again changes nothing, so a batch that broke off is simply repeated.
"""

from collections.abc import Mapping, Sequence

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

MessageKey = tuple[str, str, str]
"""Id, chat and owner."""
Held = dict[MessageKey, Document]
Chats = Mapping[str, Document]
"""By id."""


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
        held = await self._write(touches, messages)
        wanted = [(one.question.reply_id, one.question.chat_id, one.question.owner) for one in outcomes]
        held |= await self._held([one for one in wanted if one not in held])
        return [message_of(held[one]) if one in held else None for one in wanted]

    async def amend_last_event_id(self, reply_id: str, last_event_id: str) -> None:
        condition = {"_id": same(reply_id), "role": "assistant"}
        await self._database.run(self._messages.update_one(condition, {"$set": {"last_event_id": last_event_id}}))

    async def _write(self, touches: Touches, messages: Sequence[Message]) -> Held:
        """Write what may be written; gives the messages that were not there before and stand now."""
        if not messages:
            return {}
        chats = await self._standing(touches)
        closed = _closed(touches, chats)
        first: dict[str, Document] = {}
        for message in messages:
            if (message.chat_id, message.owner) not in closed and message.id not in first:
                first[message.id] = message_document(message)
        taken = await self._bulk(self._messages, [InsertOne(one) for one in first.values()])
        await self._touch(touches, chats)
        closed = _closed(touches, await self._standing(touches))
        for chat_id, owner in closed:
            await self._database.run(self._messages.delete_many({"chat_id": same(chat_id), "owner": same(owner)}))
        fresh = [one for place, one in enumerate(first.values()) if place not in taken]
        return {_key(one): one for one in fresh if (one["chat_id"], one["owner"]) not in closed}

    async def _standing(self, touches: Touches) -> Chats:
        wanted = {"_id": {"$in": [chat_id for chat_id, _ in touches.touched]}}
        found = await self._database.run(self._chats.find(wanted, {"owner": 1, "deleted": 1}).to_list())
        return {one["_id"]: one for one in found}

    async def _touch(self, touches: Touches, chats: Chats) -> None:
        """Begin those that are nowhere yet, and update the others; so too those that somebody began at the same moment."""
        new = [key for key in touches.touched if key[0] not in chats]
        taken = await self._bulk(self._chats, [InsertOne(touches.chat(key)) for key in new])
        known = touches.touched - set(new) - _closed(touches, chats)
        await self._bulk(self._chats, [touches.change(key) for key in (*known, *(new[place] for place in taken))])

    async def _bulk(self, collection: Collection, operations: Sequence[InsertOne[Document] | UpdateOne]) -> set[int]:
        """Write them in any order; the places of those whose key was taken."""
        if not operations:
            return set()
        try:
            await self._database.run(collection.bulk_write(operations, ordered=False))
        except BulkWriteError as error:
            failed = error.details["writeErrors"]
            if any(one["code"] != DUPLICATE_KEY for one in failed):
                raise
            return {one["index"] for one in failed}
        return set()

    async def _held(self, keys: Sequence[MessageKey]) -> Held:
        """Those of these messages that stand already; one whose id was taken elsewhere does not."""
        if not keys:
            return {}
        wanted = {"_id": {"$in": [one[0] for one in keys]}}
        found = await self._database.run(self._messages.find(wanted).to_list())
        return {_key(one): one for one in found}

    @property
    def _chats(self) -> Collection:
        return self._database.collection("chats")

    @property
    def _messages(self) -> Collection:
        return self._database.collection("messages")


def _closed(touches: Touches, chats: Chats) -> set[ChatKey]:
    """Those under which nothing may be written: deleted, or somebody else's. A chat that is nowhere yet is open."""
    return {
        (chat_id, owner)
        for chat_id, owner in touches.touched
        if (chat := chats.get(chat_id)) is not None and (chat["owner"] != owner or chat["deleted"])
    }


def _key(message: Document) -> MessageKey:
    return message["_id"], message["chat_id"], message["owner"]
