"""`Leases` in MongoDB."""

from pymongo import ReturnDocument
from pymongo.errors import DuplicateKeyError

from contracts.ports.stores import Leases
from infra.mongo.database import Collection, Document, MongoDatabase
from infra.mongo.documents import same


class MongoLeases(Leases):
    """A document a lease, by the server's clock; `until` in its milliseconds since the epoch, UTC."""

    def __init__(self, database: MongoDatabase) -> None:
        self._database = database

    async def acquire(self, name: str, holder: str, seconds: float) -> bool:
        try:
            return await self._take(name, holder, seconds)
        except DuplicateKeyError:  # two took a name that nobody ever had: now there is a document to decide by
            return await self._take(name, holder, seconds)

    async def release(self, name: str, holder: str) -> None:
        await self._database.run(self._leases.delete_one({"_id": same(name), "holder": same(holder)}))

    @property
    def _leases(self) -> Collection:
        return self._database.collection("leases")

    async def _take(self, name: str, holder: str, seconds: float) -> bool:
        found = await self._database.run(
            self._leases.find_one_and_update(
                {"_id": same(name)}, _taken(holder, seconds), upsert=True, return_document=ReturnDocument.AFTER
            )
        )
        return found is not None and found["holder"] == holder


def _taken(holder: str, seconds: float) -> list[Document]:
    """The update that gives the lease to this holder if it is theirs, nobody's or has run out, and leaves it alone if not."""
    now = {"$toLong": "$$NOW"}
    mine = {"$eq": ["$holder", {"$literal": holder}]}
    over = {"$lte": [{"$ifNull": ["$until", 0]}, now]}
    until = {"$add": [now, int(seconds * 1000)]}
    return [
        {"$set": {"free": {"$or": [mine, over]}}},
        {
            "$set": {
                "holder": {"$cond": ["$free", {"$literal": holder}, "$holder"]},
                "until": {"$cond": ["$free", until, "$until"]},
            }
        },
        {"$unset": "free"},
    ]
