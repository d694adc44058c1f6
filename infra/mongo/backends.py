"""`Backends` in MongoDB."""

from collections.abc import Sequence

from pymongo.errors import DuplicateKeyError

from contracts.ports.secrets import Cipher
from contracts.ports.stores import Backends
from contracts.records import RegisteredBackend
from contracts.registering import joined, parted
from infra.mongo.database import Collection, Document, MongoDatabase
from infra.mongo.documents import document, milliseconds, same


class MongoBackends(Backends):
    """A document a back-end, by name, its key encrypted."""

    def __init__(self, database: MongoDatabase, cipher: Cipher) -> None:
        self._database = database
        self._cipher = cipher

    async def all(self) -> Sequence[RegisteredBackend]:
        found = await self._database.run(self._backends.find().sort("_id").to_list())
        return [self._backend(one) for one in found]

    async def names(self) -> Sequence[str]:
        found = await self._database.run(self._backends.find({}, {"_id": 1}).sort("_id").to_list())
        return [one["_id"] for one in found]

    async def get(self, name: str) -> RegisteredBackend | None:
        found = await self._database.run(self._backends.find_one({"_id": same(name)}))
        return self._backend(found) if found else None

    async def add(self, backend: RegisteredBackend) -> bool:
        try:
            await self._database.run(self._backends.insert_one(self._document(backend)))
        except DuplicateKeyError:
            return False
        return True

    async def put(self, backend: RegisteredBackend) -> bool:
        made = self._document(backend)
        done = await self._database.run(self._backends.replace_one({"_id": same(made["_id"])}, made))
        return done.matched_count > 0

    async def remove(self, name: str) -> bool:
        gone = await self._database.run(self._backends.delete_one({"_id": same(name)}))
        return gone.deleted_count > 0

    @property
    def _backends(self) -> Collection:
        return self._database.collection("backends")

    def _document(self, backend: RegisteredBackend) -> Document:
        record, hidden = parted(backend, self._cipher)
        settings = document(record.settings, "name")
        return {
            "_id": settings.pop("_id"),
            "settings": settings,
            "source": record.source,
            "created_at": milliseconds(record.created_at),
            "updated_at": milliseconds(record.updated_at),
            **({} if hidden is None else {"api_key": hidden}),
        }

    def _backend(self, found: Document) -> RegisteredBackend:
        name = found["_id"]
        return joined(
            name,
            lambda: RegisteredBackend.model_validate({**found, "settings": {**found["settings"], "name": name}}),
            found.get("api_key"),
            self._cipher,
        )
