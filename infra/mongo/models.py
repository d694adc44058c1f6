"""`Models` in MongoDB: the catalog."""

from collections.abc import Sequence

from pymongo import ReplaceOne

from contracts.ports.stores import Models
from contracts.records import BackendHealth, Model
from infra.mongo.database import Document, MongoDatabase
from infra.mongo.documents import document, record_of, same


class MongoModels(Models):
    """A document a model, and one a back-end, by name."""

    def __init__(self, database: MongoDatabase) -> None:
        self._database = database

    async def all(self) -> Sequence[Model]:
        return [record_of(Model, one, "name") for one in await self._all("models")]

    async def put(self, models: Sequence[Model]) -> None:
        await self._put("models", [document(one, "name") for one in models])

    async def health(self) -> Sequence[BackendHealth]:
        return [record_of(BackendHealth, one, "name") for one in await self._all("backend_health")]

    async def put_health(self, health: Sequence[BackendHealth]) -> None:
        await self._put("backend_health", [document(one, "name") for one in health])

    async def _all(self, collection: str) -> list[Document]:
        return await self._database.run(self._database.collection(collection).find().sort("_id").to_list())

    async def _put(self, collection: str, documents: list[Document]) -> None:
        """In order, so that the last one of a name stays."""
        changes = [ReplaceOne({"_id": same(one["_id"])}, one, upsert=True) for one in documents]
        if changes:
            await self._database.run(self._database.collection(collection).bulk_write(changes))
