"""`Audit` in MongoDB."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from pydantic_core import from_json, to_json
from pymongo.errors import DuplicateKeyError

from contracts.administration import AuditEntry, AuditOutcome, CommandError
from contracts.cursors import write_cursor
from contracts.ports.administration import Audit
from contracts.records import Page
from infra.mongo.database import Collection, Document, MongoDatabase
from infra.mongo.documents import document, milliseconds, record_of, same
from infra.mongo.newest import newest


class MongoAudit(Audit):
    """A document an entry. Its details are JSON text: their names may be anything, a document's may not."""

    def __init__(self, database: MongoDatabase) -> None:
        self._database = database

    async def note(self, entry: AuditEntry) -> None:
        details = to_json(entry.details, inf_nan_mode="null").decode()
        made = {**document(entry.model_copy(update={"details": {}})), "details": details}
        try:
            await self._database.run(self._entries.insert_one(made))
        except DuplicateKeyError:
            return  # noted already

    async def settle(
        self, entry_id: str, outcome: AuditOutcome, at: datetime, error: CommandError | None = None
    ) -> None:
        settled: Document = {"outcome": outcome, "ended_at": milliseconds(at)}
        if error is not None:
            settled["error"] = error.model_dump()
        call = self._entries.update_one({"_id": same(entry_id), "outcome": "accepted"}, {"$set": settled})
        await self._database.run(call)

    async def page(
        self,
        limit: int,
        cursor: str | None,
        *,
        actor: str | None = None,
        action: str | None = None,
        subject: str | None = None,
    ) -> Page[AuditEntry]:
        asked = {"actor": actor, "action": action, "subject": subject}
        condition = {name: same(value) for name, value in asked.items() if value is not None}
        found = await newest(self._database, self._entries, "at", limit + 1, condition, cursor)
        entries = [_entry(one) for one in found]
        more = write_cursor(entries[limit - 1].at, entries[limit - 1].id) if len(entries) > limit else None
        return Page[AuditEntry](items=tuple(entries[:limit]), next_cursor=more)

    @property
    def _entries(self) -> Collection:
        return self._database.collection("audit")


def _entry(found: Mapping[str, Any]) -> AuditEntry:
    return record_of(AuditEntry, {**found, "details": from_json(found["details"])})
