"""Who did what: an entry of the audit record before it is done, and what came of it afterwards."""

from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime

import structlog

from api.errors import problem_of, request_id
from contracts.administration import AuditEntry, AuditOutcome, CommandError
from contracts.errors import OllamaNetError
from contracts.ids import new_id
from contracts.ports.administration import Audit

log = structlog.get_logger()

INTERNAL = CommandError(code="internal", message="Something went wrong here; the request id helps to find out what.")


@dataclass(frozen=True)
class Auditing:
    """What administrators do at the edge itself. An entry that stays `accepted` is of an edge that died over it."""

    audit: Audit

    @asynccontextmanager
    async def noted(
        self, by: str, action: str, subject: str, details: Mapping[str, object] | None = None
    ) -> AsyncGenerator[None, None]:
        """Do inside what is noted. What cannot be noted is not done: raises Unavailable before."""
        entry = AuditEntry(
            id=new_id(),
            at=datetime.now(UTC),
            actor=by,
            action=action,
            subject=subject,
            details=dict(details or {}),
            request_id=request_id(),
        )
        await self.audit.note(entry)
        try:
            yield
        except OllamaNetError as error:
            await self._settle(entry.id, "failed", CommandError(code=problem_of(error).code, message=str(error)))
            raise
        except Exception:
            await self._settle(entry.id, "failed", INTERNAL)
            raise
        await self._settle(entry.id, "completed")

    async def _settle(self, entry_id: str, outcome: AuditOutcome, error: CommandError | None = None) -> None:
        """It is done, whether or not this is kept."""
        try:
            await self.audit.settle(entry_id, outcome, datetime.now(UTC), error)
        except OllamaNetError as lost:
            log.error("audit_not_settled", entry_id=entry_id, outcome=outcome, why=str(lost))
