"""`Sessions` in MongoDB."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from pymongo import ReturnDocument

from contracts.ports.stores import Sessions
from contracts.records import Session
from infra.mongo.database import Collection, Document, MongoDatabase
from infra.mongo.documents import document, milliseconds, record_of, same

TOKENS = 10
"""Refresh tokens of a session that are remembered; the use of an older one finds nothing."""


class MongoSessions(Sessions):
    """A document a session, its tokens inside, oldest first: so that one update of one document rotates."""

    def __init__(self, database: MongoDatabase) -> None:
        self._database = database

    async def add(self, session: Session) -> None:
        await self._database.run(self._sessions.insert_one(document(session)))

    async def get(self, session_id: str) -> Session | None:
        found = await self._database.run(self._sessions.find_one({"_id": same(session_id)}))
        return record_of(Session, found) if found else None

    async def living(self, session_ids: Sequence[str]) -> set[str]:
        condition = {"_id": {"$in": list(session_ids)}, **_lives(datetime.now(UTC))}
        found = await self._database.run(self._sessions.find(condition, {"_id": 1}).to_list())
        return {one["_id"] for one in found}

    async def rotate(self, token_hash: str, successor_hash: str, now: datetime, grace: float) -> Session | None:
        now = milliseconds(now)
        fresh = {"$or": [{"replaced_at": None}, {"replaced_at": {"$gt": now - timedelta(seconds=grace)}}]}
        found = await self._database.run(
            self._sessions.find_one_and_update(
                {"tokens": {"$elemMatch": {"hash": same(token_hash), **fresh}}, **_lives(now)},
                _succeeded(token_hash, successor_hash, now),
                return_document=ReturnDocument.AFTER,
            )
        )
        if found is not None:
            return record_of(Session, found)
        stale = {"hash": same(token_hash), "replaced_at": {"$lte": now - timedelta(seconds=grace)}}
        await self._end({"tokens": {"$elemMatch": stale}, **_lives(now)}, now)
        return None

    async def end(self, session_id: str, account_id: str, now: datetime) -> None:
        await self._end({"_id": same(session_id), "account_id": same(account_id), "ended_at": None}, now)

    async def end_by_token(self, token_hash: str, now: datetime) -> str | None:
        condition = {"tokens.hash": same(token_hash)}
        await self._end({**condition, "ended_at": None}, now)
        found = await self._database.run(self._sessions.find_one(condition, {"_id": 1}))
        return found["_id"] if found else None

    @property
    def _sessions(self) -> Collection:
        return self._database.collection("sessions")

    async def _end(self, condition: Document, now: datetime) -> None:
        await self._database.run(self._sessions.update_one(condition, {"$set": {"ended_at": milliseconds(now)}}))


def _lives(now: datetime) -> Document:
    return {"ended_at": None, "expires_at": {"$gt": milliseconds(now)}}


def _succeeded(token_hash: str, successor_hash: str, now: datetime) -> list[Document]:
    """The update that marks a token as replaced (once) and puts its successor at the end of those remembered."""
    current = {
        "$and": [
            {"$eq": ["$$one.hash", {"$literal": token_hash}]},
            {"$eq": [{"$ifNull": ["$$one.replaced_at", None]}, None]},
        ]
    }
    replaced = {"$mergeObjects": ["$$one", {"replaced_at": now}]}
    marked = {"$map": {"input": "$tokens", "as": "one", "in": {"$cond": [current, replaced, "$$one"]}}}
    successor = [{"hash": {"$literal": successor_hash}}]
    return [{"$set": {"tokens": {"$slice": [{"$concatArrays": [marked, successor]}, -TOKENS]}}}]
