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
from contracts.ports.stores import Accounts
from contracts.records import Page

log = structlog.get_logger()

INTERNAL = CommandError(code="internal", message="Something went wrong here; the request id helps to find out what.")


@dataclass(frozen=True)
class Auditing:
    """What administrators do at the edge itself. An entry that stays `accepted` is of an edge that died over it."""

    audit: Audit

    @asynccontextmanager
    async def noted(
        self, by: str, action: str, subject: str, details: Mapping[str, object] | None = None
    ) -> AsyncGenerator[AuditEntry, None]:
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
            yield entry
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


@dataclass(frozen=True)
class Audited:
    """The record as administrators read it."""

    audit: Audit
    accounts: Accounts

    async def page(
        self, limit: int, cursor: str | None, actor: str | None, action: str | None, subject: str | None
    ) -> tuple[Page[AuditEntry], dict[str, str]]:
        """The newest first, and the e-mails of who did it, by account. Raises ValueError for a cursor that the list did not make."""
        account_id = await self._account_id(actor) if actor and "@" in actor else actor
        page = await self.audit.page(limit, cursor, actor=account_id, action=action, subject=subject)
        accounts = [await self.accounts.get(one) for one in {entry.actor for entry in page.items}]
        return page, {one.id: one.email for one in accounts if one is not None}

    async def _account_id(self, email: str) -> str:
        """An address that nobody has finds nothing."""
        account = await self.accounts.by_email(email.strip().lower())
        return account.id if account else email
