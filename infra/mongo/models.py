"""`Models` in MongoDB: the catalog."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from pymongo import ReplaceOne, ReturnDocument, UpdateOne
from pymongo.errors import BulkWriteError

from contracts.ports.stores import Models
from contracts.records import Alias, BackendHealth, Model, ModelChanges
from infra.mongo.database import Document, MongoDatabase
from infra.mongo.documents import document, record_of, same

TOLD = ("served_by", "known", "updated_at")
"""What back-ends tell of a model."""
TAKEN = 11000
"""MongoDB's code of a key that is there already."""


class MongoModels(Models):
    """A document a model, one an alias and one a back-end, by name."""

    def __init__(self, database: MongoDatabase) -> None:
        self._database = database

    async def all(self) -> Sequence[Model]:
        return [record_of(Model, one, "name") for one in await self._all("models")]

    async def put(self, models: Sequence[Model]) -> None:
        await self._put("models", [document(one, "name") for one in models])

    async def note_serving(self, models: Sequence[Model]) -> None:
        changes = [_served(document(one, "name")) for one in models]
        if not changes:
            return
        try:
            await self._database.run(self._database.collection("models").bulk_write(changes))
        except BulkWriteError as error:
            if not any(one.get("code") == TAKEN for one in error.details.get("writeErrors", ())):
                raise
            # somebody inserted one of them at the same moment: now it is there, and is changed
            await self._database.run(self._database.collection("models").bulk_write(changes))

    async def amend(self, name: str, changes: ModelChanges, now: datetime) -> Model | None:
        call = self._database.collection("models").find_one_and_update(
            {"_id": same(name)}, _amended(name, changes, now), return_document=ReturnDocument.AFTER
        )
        found = await self._database.run(call)
        return record_of(Model, found, "name") if found else None

    async def remove(self, name: str) -> bool:
        return await self._remove("models", name)

    async def aliases(self) -> Sequence[Alias]:
        return [record_of(Alias, one, "name") for one in await self._all("aliases")]

    async def put_alias(self, alias: Alias) -> None:
        await self._put("aliases", [document(alias, "name")])

    async def remove_alias(self, name: str) -> bool:
        return await self._remove("aliases", name)

    async def health(self) -> Sequence[BackendHealth]:
        return [record_of(BackendHealth, one, "name") for one in await self._all("backend_health")]

    async def put_health(self, health: Sequence[BackendHealth]) -> None:
        await self._put("backend_health", [document(one, "name") for one in health])

    async def keep_health(self, names: Sequence[str]) -> None:
        gone = {"_id": {"$nin": list(names)}}
        await self._database.run(self._database.collection("backend_health").delete_many(gone))

    async def _all(self, collection: str) -> list[Document]:
        return await self._database.run(self._database.collection(collection).find().sort("_id").to_list())

    async def _put(self, collection: str, documents: list[Document]) -> None:
        """In order, so that the last one of a name stays."""
        changes = [ReplaceOne({"_id": same(one["_id"])}, one, upsert=True) for one in documents]
        if changes:
            await self._database.run(self._database.collection(collection).bulk_write(changes))

    async def _remove(self, collection: str, name: str) -> bool:
        gone = await self._database.run(self._database.collection(collection).delete_one({"_id": same(name)}))
        return gone.deleted_count > 0


def _served(made: Document) -> UpdateOne:
    """Insert the whole document, or change of the one that is there only what back-ends tell."""
    told = {one: made[one] for one in TOLD if one in made}
    gone = {one: "" for one in TOLD if one not in made}
    first = {name: value for name, value in made.items() if name != "_id" and name not in TOLD}
    change = {"$set": told, "$setOnInsert": first, **({"$unset": gone} if gone else {})}
    return UpdateOne({"_id": same(made["_id"])}, change, upsert=True)


def _amended(name: str, changes: ModelChanges, now: datetime) -> list[Mapping[str, Any]]:
    """The fields that are set, as values and not as what they may look like; those set to nothing go."""
    fields = {one: getattr(changes, one) for one in changes.model_fields_set}
    made = document(Model.model_validate({"name": name, **fields, "updated_at": now}), "name")
    values: Document = {one: {"$literal": made[one]} for one in (*fields, "updated_at") if one in made}
    if changes.verifications:
        values["verifications"] = _newest(made["verifications"])
    gone = [one for one in fields if one not in made]
    return [{"$set": values}, *([{"$unset": gone}] if gone else [])]


def _newest(verifications: Sequence[Document]) -> Document:
    """These and those that are kept, of each back-end the newest: as an expression, so that two callers at once lose neither's."""
    had = {"$ifNull": ["$verifications", []]}
    older = [_of(one, "$lte") for one in verifications]
    kept = {"$filter": {"input": had, "as": "kept", "cond": {"$not": [{"$or": older}]}}}
    added = [
        {"$cond": [{"$anyElementTrue": [{"$map": {"input": had, "as": "kept", "in": _of(one, "$gt")}}]}, [], [{"$literal": one}]]}
        for one in verifications
    ]  # fmt: skip
    return {"$concatArrays": [kept, *added]}


def _of(verification: Document, compared: str) -> Document:
    """Whether a kept one is of that back-end, and its moment compares so with this one's."""
    same_backend = {"$eq": ["$$kept.backend", {"$literal": verification["backend"]}]}
    return {"$and": [same_backend, {compared: ["$$kept.at", {"$literal": verification["at"]}]}]}
