"""`DeadLetters` in MongoDB."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from pydantic_core import from_json, to_json
from pymongo import ReturnDocument
from pymongo.errors import DuplicateKeyError

from contracts.cursors import read_cursor, write_cursor
from contracts.ports.stores import DeadLetters
from contracts.records import DeadLetter, DeadLetterStatus, Page
from infra.mongo.database import Collection, Document, MongoDatabase
from infra.mongo.documents import document, milliseconds, record_of, same


class MongoDeadLetters(DeadLetters):
    """A document a letter. Its attributes are JSON text: their names may be anything, a document's may not."""

    def __init__(self, database: MongoDatabase) -> None:
        self._database = database

    async def keep(self, letter: DeadLetter) -> None:
        made = {**document(letter), "attributes": to_json(letter.attributes).decode()}
        try:
            await self._database.run(self._letters.insert_one(made))
        except DuplicateKeyError:
            return  # kept already

    async def page(self, limit: int, cursor: str | None, *, status: DeadLetterStatus | None = None) -> Page[DeadLetter]:
        condition = {} if status is None else {"status": same(status)}
        found = await self._newest(limit + 1, condition, cursor)
        letters = [_letter(one) for one in found]
        more = write_cursor(letters[limit - 1].died_at, letters[limit - 1].id) if len(letters) > limit else None
        return Page[DeadLetter](items=tuple(letters[:limit]), next_cursor=more)

    async def get(self, letter_id: str) -> DeadLetter | None:
        found = await self._database.run(self._letters.find_one({"_id": same(letter_id)}))
        return _letter(found) if found else None

    async def decide(
        self,
        letter_id: str,
        status: DeadLetterStatus,
        *,
        by: str,
        at: datetime,
        replayed_as: str | None = None,
        before: DeadLetterStatus = "waiting",
    ) -> DeadLetter | None:
        decision = {"status": status, "decided_by": by, "decided_at": milliseconds(at), "replayed_as": replayed_as}
        found = await self._database.run(
            self._letters.find_one_and_update(
                {"_id": same(letter_id), "status": same(before)},
                {"$set": decision},
                return_document=ReturnDocument.AFTER,
            )
        )
        return _letter(found) if found else None

    @property
    def _letters(self) -> Collection:
        return self._database.collection("dead_letters")

    async def _newest(self, most: int, condition: Document, cursor: str | None) -> list[Document]:
        """After a cursor: first the rest of its moment, then what died before; each is one walk along the index."""
        if cursor is None:
            return await self._walk(most, condition)
        died_at, last_id = read_cursor(cursor)
        found = await self._walk(most, {**condition, "died_at": died_at, "_id": {"$lt": last_id}})
        if len(found) < most:
            found += await self._walk(most - len(found), {**condition, "died_at": {"$lt": died_at}})
        return found

    async def _walk(self, most: int, condition: Document) -> list[Document]:
        call = self._letters.find(condition).sort([("died_at", -1), ("_id", -1)]).limit(most).to_list()
        return await self._database.run(call)


def _letter(found: Mapping[str, Any]) -> DeadLetter:
    return record_of(DeadLetter, {**found, "attributes": from_json(found["attributes"])})
