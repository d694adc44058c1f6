"""JSON of the audit record."""

from collections.abc import Mapping, Sequence
from datetime import datetime

from pydantic import BaseModel, Field

from contracts.administration import AuditEntry, AuditOutcome, CommandError


class AuditBody(BaseModel):
    """Who ordered what, and what came of it: `accepted` until that is known. actor: an account's id; its e-mail as long as there is one."""

    id: str
    at: datetime
    actor: str
    actor_email: str | None
    action: str = Field(examples=["PullModel", "AddBackend", "ReplayDeadLetter"])
    subject: str
    details: dict[str, object]
    outcome: AuditOutcome
    error: CommandError | None
    ended_at: datetime | None
    request_id: str | None

    @classmethod
    def of(cls, entry: AuditEntry, emails: Mapping[str, str]) -> "AuditBody":
        """An entry as JSON; `emails` by account."""
        return cls(actor_email=emails.get(entry.actor), **dict(entry))


class AuditList(BaseModel):
    """One page of the audit record, the newest first."""

    items: list[AuditBody]
    next_cursor: str | None

    @classmethod
    def of(cls, entries: Sequence[AuditEntry], next_cursor: str | None, emails: Mapping[str, str]) -> "AuditList":
        """A page as JSON."""
        return cls(items=[AuditBody.of(one, emails) for one in entries], next_cursor=next_cursor)
