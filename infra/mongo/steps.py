"""`Steps` in MongoDB."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

from pydantic_core import from_json, to_json
from pymongo import ReturnDocument
from pymongo.errors import DuplicateKeyError

from contracts.administration import Step
from contracts.errors import Unavailable
from contracts.ports.administration import Steps
from infra.mongo.database import Collection, Document, MongoDatabase
from infra.mongo.documents import document, record_of, same

NOW: Document = {"$toLong": "$$NOW"}
FREE: Document = {"$expr": {"$lte": ["$until", NOW]}}
"""The condition that nobody holds it (any more), by the server's clock."""
UNWANTED: Document = {"commands": []}
WANTED: Document = {"commands": {"$ne": []}}
TRIES = 10
"""Of making what others make or remove at the same moment: each is lost to somebody who got on."""
OLDEST_FIRST = [("created_at", 1), ("_id", 1)]


class MongoSteps(Steps):
    """A document a step, by key, its body as JSON text; `until` in the server's milliseconds since the epoch, UTC, 0 where it is free.

    Epochs are numbers of the database, not of the key: one that comes again is never taken under an old one.
    """

    def __init__(self, database: MongoDatabase) -> None:
        self._database = database

    async def attach(self, step: Step, command_id: str) -> Step:
        return _step(await self._upsert(self._steps, step.key, _attached(step, command_id)))

    async def detach(self, key: str, command_id: str) -> None:
        # `$in`: the value itself is pulled, whatever it is
        left = {"$pull": {"commands": {"$in": [command_id]}}, "$inc": {"changes": 1}}
        found = await self._change({"_id": same(key), "commands": same(command_id)}, left)
        if found is not None and not found.commands:
            await self._remove({"_id": same(key), **UNWANTED, **FREE})

    async def take(self, holder: str, seconds: float, most: int) -> Sequence[Step]:
        if most < 1:
            return ()  # to MongoDB no limit at all
        found = await self._free(most)
        unwanted = [one["_id"] for one in found if not one["commands"]]
        if unwanted:
            gone = {"_id": {"$in": unwanted}, **UNWANTED, **FREE}
            await self._database.run(self._steps.delete_many(gone))
            found = await self._free(most)
        if not found:
            return ()
        first = await self._epochs(len(found))
        tries = [await self._take(one["_id"], holder, seconds, first + place) for place, one in enumerate(found)]
        return [one for one in tries if one is not None]

    async def renew(self, step: Step, holder: str, seconds: float) -> Step | None:
        until = [{"$set": {"until": _in(seconds)}}]
        return await self._change(_held(step, holder), until)

    async def release(self, step: Step, holder: str) -> None:
        let_go = {"$set": {"until": 0}, "$unset": {"holder": ""}}
        found = await self._change(_held(step, holder), let_go)
        if found is not None and not found.commands:
            await self._remove({"_id": same(step.key), **UNWANTED, **FREE})

    async def finish(self, step: Step, holder: str) -> bool:
        return await self._remove({**_held(step, holder), "changes": step.changes})

    async def concerning(self, model: str) -> Sequence[Step]:
        call = self._steps.find({"model": same(model), **WANTED}).sort(OLDEST_FIRST).to_list()
        return [_step(one) for one in await self._database.run(call)]

    @property
    def _steps(self) -> Collection:
        return self._database.collection("steps")

    async def _free(self, most: int) -> list[Document]:
        call = self._steps.find(FREE, {"commands": 1}).sort(OLDEST_FIRST).limit(most).to_list()
        return await self._database.run(call)

    async def _take(self, key: str, holder: str, seconds: float, epoch: int) -> Step | None:
        """None where somebody was faster."""
        free = {"_id": same(key), "epoch": {"$lt": epoch}, **WANTED, **FREE}
        taken = {"holder": {"$literal": holder}, "until": _in(seconds), "epoch": epoch}
        return await self._change(free, [{"$set": taken}])

    async def _epochs(self, count: int) -> int:
        """The first of so many numbers that nobody ever had."""
        counters = self._database.collection("counters")
        counted = await self._upsert(counters, "step_epoch", {"$inc": {"last": count}})
        return counted["last"] - count + 1

    async def _upsert(self, collection: Collection, key: str, update: Document | list[Document]) -> Document:
        """The document of that key after the update, made where there is none. Who is not told it, does it again."""
        for _ in range(TRIES):
            call = collection.find_one_and_update(
                {"_id": same(key)}, update, upsert=True, return_document=ReturnDocument.AFTER
            )
            with suppress(DuplicateKeyError):  # others made it at the same moment: now there is one to change
                if (found := await self._database.run(call)) is not None:
                    return found
        raise Unavailable(f"{TRIES} times in a row somebody else made or removed {key} at the same moment.")

    async def _change(self, condition: Document, update: Document | list[Document]) -> Step | None:
        found = await self._database.run(
            self._steps.find_one_and_update(condition, update, return_document=ReturnDocument.AFTER)
        )
        return _step(found) if found else None

    async def _remove(self, condition: Document) -> bool:
        return (await self._database.run(self._steps.delete_one(condition))).deleted_count > 0


def _held(step: Step, holder: str) -> Document:
    """The condition that nobody else has taken it since."""
    return {"_id": same(step.key), "holder": same(holder), "epoch": step.epoch}


def _in(seconds: float) -> Document:
    return {"$add": [NOW, int(seconds * 1000)]}


def _attached(step: Step, command_id: str) -> list[Document]:
    """The update that makes the step where there is none, and has the command wait for it if it does not."""
    made = document(step.model_copy(update={"body": {}, "commands": (), "epoch": 0, "changes": 0}), "key")
    del made["_id"]
    first = {**made, "body": to_json(step.body, inf_nan_mode="null").decode(), "until": 0}
    command = {"$literal": command_id}
    return [
        {"$set": {name: {"$ifNull": [f"${name}", {"$literal": value}]} for name, value in first.items()}},
        {"$set": {"new": {"$not": [{"$in": [command, "$commands"]}]}}},
        {
            "$set": {
                "commands": {"$cond": ["$new", {"$concatArrays": ["$commands", [command]]}, "$commands"]},
                "changes": {"$cond": ["$new", {"$add": ["$changes", 1]}, "$changes"]},
            }
        },
        {"$unset": "new"},
    ]


def _step(found: Mapping[str, Any]) -> Step:
    return record_of(Step, {**found, "body": from_json(found["body"])}, "key")
