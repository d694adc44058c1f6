"""`Commands` in MongoDB."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from pydantic_core import from_json, to_json
from pymongo import ReturnDocument
from pymongo.errors import DuplicateKeyError

from contracts.administration import (
    ENDED,
    AdminCommand,
    CommandError,
    CommandStatus,
    StepProgress,
    StepResult,
)
from contracts.cursors import write_cursor
from contracts.ports.administration import Commands
from contracts.records import Page
from infra.mongo.database import Collection, Document, MongoDatabase
from infra.mongo.documents import document, milliseconds, record_of, same
from infra.mongo.newest import newest

MOST_UNFINISHED = 1000
GOING_ON: Document = {"status": {"$nin": list(ENDED)}}


class MongoCommands(Commands):
    """A document a command. What its targets are called may be anything, so results and progress are lists of {target, record}.

    `record` and `body` are JSON text: not every JSON object is a document.
    """

    def __init__(self, database: MongoDatabase) -> None:
        self._database = database

    async def add(self, command: AdminCommand) -> AdminCommand:
        made = _document(command)
        try:
            await self._database.run(self._commands.insert_one(made))
        except DuplicateKeyError:
            return await self.get(command.id) or _command(made)
        return _command(made)

    async def get(self, command_id: str) -> AdminCommand | None:
        found = await self._database.run(self._commands.find_one({"_id": same(command_id)}))
        return _command(found) if found else None

    async def page(
        self, limit: int, cursor: str | None, *, status: CommandStatus | None = None, model: str | None = None
    ) -> Page[AdminCommand]:
        asked = {"status": status, "model": model}
        condition = {name: same(value) for name, value in asked.items() if value is not None}
        documents = await newest(self._database, self._commands, "asked_at", limit + 1, condition, cursor)
        found = [_command(one) for one in documents]
        more = write_cursor(found[limit - 1].asked_at, found[limit - 1].id) if len(found) > limit else None
        return Page[AdminCommand](items=tuple(found[:limit]), next_cursor=more)

    async def unfinished(self) -> Sequence[AdminCommand]:
        # by name, not by what they are not: so that the index finds the few among the many
        going_on = {"status": {"$in": ["queued", "running"]}}
        call = self._commands.find(going_on).sort([("asked_at", 1), ("_id", 1)]).limit(MOST_UNFINISHED).to_list()
        return [_command(one) for one in await self._database.run(call)]

    async def start(self, command_id: str, targets: Sequence[str], at: datetime) -> AdminCommand | None:
        started = {"status": "running", "targets": list(targets), "started_at": milliseconds(at)}
        changed = await self._change({"_id": same(command_id), "status": "queued"}, {"$set": started})
        return changed or await self.get(command_id)

    async def note_progress(self, command_id: str, progress: StepProgress) -> None:
        target = {"$literal": progress.backend}
        others = {
            "$filter": {"input": "$progress", "as": "one", "cond": {"$ne": ["$$one.target", target]}},
        }
        newer = [{"$literal": _named(progress.backend, progress)}]
        update = [{"$set": {"progress": {"$concatArrays": [others, newer]}}}]
        await self._change({"_id": same(command_id), **GOING_ON}, update)

    async def note_result(self, command_id: str, target: str, result: StepResult) -> AdminCommand | None:
        whole = result.model_copy(update={"ended_at": milliseconds(result.ended_at)})
        missing = {"_id": same(command_id), "results.target": {"$ne": target}, **GOING_ON}
        changed = await self._change(missing, {"$push": {"results": _named(target, whole)}})
        return changed or await self.get(command_id)

    async def end(
        self, command_id: str, status: CommandStatus, at: datetime, error: CommandError | None = None
    ) -> AdminCommand | None:
        ended: Document = {"status": status, "ended_at": milliseconds(at)}
        if error is not None:
            ended["error"] = error.model_dump()
        return await self._change({"_id": same(command_id), **GOING_ON}, {"$set": ended})

    async def forget(self, command_id: str) -> None:
        await self._database.run(self._commands.delete_one({"_id": same(command_id), "status": "queued"}))

    @property
    def _commands(self) -> Collection:
        return self._database.collection("commands")

    async def _change(self, condition: Document, update: Document | list[Document]) -> AdminCommand | None:
        found = await self._database.run(
            self._commands.find_one_and_update(condition, update, return_document=ReturnDocument.AFTER)
        )
        return _command(found) if found else None


def _document(command: AdminCommand) -> Document:
    ended = {
        target: one.model_copy(update={"ended_at": milliseconds(one.ended_at)})
        for target, one in command.results.items()
    }
    return {
        **document(command.model_copy(update={"body": {}, "results": {}, "progress": {}})),
        "body": to_json(command.body, inf_nan_mode="null").decode(),
        "results": [_named(target, one) for target, one in ended.items()],
        "progress": [_named(target, one) for target, one in command.progress.items()],
    }


def _named(target: str, record: StepResult | StepProgress) -> Document:
    return {"target": target, "record": record.model_dump_json()}


def _command(found: Mapping[str, Any]) -> AdminCommand:
    texts: Document = {"body": from_json(found["body"])}
    for name in ("results", "progress"):
        texts[name] = {one["target"]: from_json(one["record"]) for one in found[name]}
    return record_of(AdminCommand, {**found, **texts})
