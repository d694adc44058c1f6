"""`ApiKeys` in MongoDB."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from pymongo import UpdateOne
from pymongo.errors import DuplicateKeyError

from contracts.cursors import read_cursor, write_cursor
from contracts.ports.stores import ApiKeys
from contracts.records import ApiKey, Page
from infra.mongo.database import Collection, Document, MongoDatabase
from infra.mongo.documents import document, milliseconds, record_of, same


class MongoApiKeys(ApiKeys):
    """A document a key, in one of its owner's places, which is how many one may have without a transaction."""

    def __init__(self, database: MongoDatabase) -> None:
        self._database = database

    async def add(self, key: ApiKey, at_most: int) -> ApiKey | None:
        while True:  # each further round, somebody else took a place or made this very key
            kept = await self.by_hash(key.hash)
            if kept is not None:
                return kept
            free = await self._free_place(key.owner, at_most)
            if free is None:
                return None
            try:
                await self._database.run(self._keys.insert_one({**document(key), "place": free}))
            except DuplicateKeyError as error:
                if "_id" in (error.details or {}).get("keyPattern", {}):
                    raise
            else:
                return key

    async def page(self, owner: str, limit: int, cursor: str | None) -> Page[ApiKey]:
        found = await self._newest(limit + 1, {"owner": same(owner)}, cursor)
        keys = [record_of(ApiKey, one) for one in found]
        more = write_cursor(keys[limit - 1].created_at, keys[limit - 1].id) if len(keys) > limit else None
        return Page[ApiKey](items=tuple(keys[:limit]), next_cursor=more)

    async def by_hash(self, secret_hash: str) -> ApiKey | None:
        found = await self._database.run(self._keys.find_one({"hash": same(secret_hash)}))
        return record_of(ApiKey, found) if found else None

    async def owners(self, key_ids: Sequence[str]) -> Mapping[str, str]:
        lives = {"$or": [{"expires_at": None}, {"expires_at": {"$gt": milliseconds(datetime.now(UTC))}}]}
        call = self._keys.find({"_id": {"$in": list(key_ids)}, **lives}, {"owner": 1}).to_list()
        return {one["_id"]: one["owner"] for one in await self._database.run(call)}

    async def revoke(self, owner: str, key_id: str) -> bool:
        gone = await self._database.run(self._keys.delete_one({"_id": same(key_id), "owner": same(owner)}))
        return gone.deleted_count > 0

    async def note_uses(self, uses: Mapping[str, datetime]) -> None:
        changes = [
            UpdateOne({"_id": same(key_id)}, {"$max": {"last_used_at": milliseconds(at)}})
            for key_id, at in uses.items()
        ]
        if changes:
            await self._database.run(self._keys.bulk_write(changes, ordered=False))

    @property
    def _keys(self) -> Collection:
        return self._database.collection("api_keys")

    async def _free_place(self, owner: str, at_most: int) -> int | None:
        call = self._keys.find({"owner": same(owner)}, {"place": 1}).to_list()
        taken = {one["place"] for one in await self._database.run(call)}
        return next((place for place in range(at_most) if place not in taken), None)

    async def _newest(self, most: int, condition: Document, cursor: str | None) -> list[Document]:
        """After a cursor: first the rest of its moment, then what was made before; each is one walk along the index."""
        if cursor is None:
            return await self._walk(most, condition)
        created_at, last_id = read_cursor(cursor)
        found = await self._walk(most, {**condition, "created_at": created_at, "_id": {"$lt": last_id}})
        if len(found) < most:
            found += await self._walk(most - len(found), {**condition, "created_at": {"$lt": created_at}})
        return found

    async def _walk(self, most: int, condition: Document) -> list[Document]:
        call = self._keys.find(condition).sort([("created_at", -1), ("_id", -1)]).limit(most).to_list()
        return await self._database.run(call)
