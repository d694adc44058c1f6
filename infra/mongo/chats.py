"""`Chats` in MongoDB: what a person reads, renames and deletes."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from pymongo import ReturnDocument
from pymongo.errors import DuplicateKeyError

from contracts.cursors import read_cursor, write_cursor
from contracts.ports.stores import Chats
from contracts.records import Chat, Message, Page
from infra.mongo.database import Collection, Document, MongoDatabase
from infra.mongo.documents import message_of, milliseconds, record_of, same


class MongoChats(Chats):
    """A document a chat and one a message. The owner is in every query; a tombstone has `deleted` true."""

    def __init__(self, database: MongoDatabase) -> None:
        self._database = database

    async def page(self, owner: str, limit: int, cursor: str | None) -> Page[Chat]:
        found = await (self._newest(owner, limit + 1) if cursor is None else self._after(owner, limit + 1, cursor))
        chats = [record_of(Chat, one) for one in found]
        more = write_cursor(chats[limit - 1].updated_at, chats[limit - 1].id) if len(chats) > limit else None
        return Page[Chat](items=tuple(chats[:limit]), next_cursor=more)

    async def get(self, owner: str, chat_id: str) -> Chat | None:
        found = await self._database.run(self._chats.find_one(live(owner, chat_id)))
        return record_of(Chat, found) if found else None

    async def messages(self, owner: str, chat_id: str) -> Sequence[Message]:
        if await self.get(owner, chat_id) is None:
            return []
        condition = {"chat_id": same(chat_id), "owner": same(owner)}
        found = await self._database.run(self._messages.find(condition).sort("_id").to_list())
        return [message_of(one) for one in found]

    async def rename(self, owner: str, chat_id: str, title: str) -> Chat | None:
        found = await self._database.run(
            self._chats.find_one_and_update(
                live(owner, chat_id),
                {"$set": {"title": title, "renamed": True}},
                return_document=ReturnDocument.AFTER,
            )
        )
        return record_of(Chat, found) if found else None

    async def delete(self, owner: str, chat_id: str, now: datetime) -> bool:
        """The tombstone comes first: history, which writes first and looks for tombstones then, removes what came later."""
        try:
            lived = await self._bury(owner, chat_id, now)
        except DuplicateKeyError:
            lived = await self._bury_again(owner, chat_id, now)
        await self._database.run(self._messages.delete_many({"chat_id": same(chat_id), "owner": same(owner)}))
        return lived

    async def deleted(self, owner: str, chat_id: str) -> bool:
        condition = {"_id": same(chat_id), "owner": same(owner), "deleted": True}
        return await self._database.run(self._chats.find_one(condition, {"_id": 1})) is not None

    async def reply(self, owner: str, generation_id: str) -> Message | None:
        condition = {"generation_id": same(generation_id), "owner": same(owner), "role": "assistant"}
        found = await self._database.run(self._messages.find_one(condition))
        if found is None or await self.get(owner, found["chat_id"]) is None:
            return None
        return message_of(found)

    async def _newest(self, owner: str, most: int, **conditions: object) -> list[Document]:
        condition = {"owner": same(owner), "deleted": False, **conditions}
        call = self._chats.find(condition).sort([("updated_at", -1), ("_id", -1)]).limit(most).to_list()
        return await self._database.run(call)

    async def _after(self, owner: str, most: int, cursor: str) -> list[Document]:
        """First the rest of the cursor's moment, then what is older: each is one walk along the index."""
        updated_at, last_id = read_cursor(cursor)
        found = await self._newest(owner, most, updated_at=updated_at, _id={"$lt": last_id})
        if len(found) < most:
            found += await self._newest(owner, most - len(found), updated_at={"$lt": updated_at})
        return found

    async def _bury(self, owner: str, chat_id: str, now: datetime) -> bool:
        before = await self._database.run(
            self._chats.find_one_and_update(
                {"_id": same(chat_id), "owner": same(owner)},
                _buried(now),
                upsert=True,
                return_document=ReturnDocument.BEFORE,
            )
        )
        return before is not None and not before["deleted"]

    async def _bury_again(self, owner: str, chat_id: str, now: datetime) -> bool:
        """Somebody else's, or history began the chat at the same moment: then it is there now."""
        try:
            return await self._bury(owner, chat_id, now)
        except DuplicateKeyError:
            return False

    @property
    def _chats(self) -> Collection:
        return self._database.collection("chats")

    @property
    def _messages(self) -> Collection:
        return self._database.collection("messages")


def live(owner: str, chat_id: str) -> Document:
    """The condition that a chat is this owner's and not deleted."""
    return {"_id": same(chat_id), "owner": same(owner), "deleted": False}


def _buried(now: datetime) -> list[dict[str, Any]]:
    at = {"$ifNull": ["$deleted_at", milliseconds(now)]}
    return [{"$set": {"deleted": True, "deleted_at": at, "title": ""}}]
