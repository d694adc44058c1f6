"""An audit record in memory."""

from datetime import datetime

from contracts.administration import AuditEntry, AuditOutcome, CommandError
from contracts.ports.administration import Audit


class MemoryAudit(Audit):
    """Keeps what is noted, in `kept`; pages are no part of it."""

    def __init__(self) -> None:
        self.kept: dict[str, AuditEntry] = {}

    async def note(self, entry: AuditEntry) -> None:
        self.kept.setdefault(entry.id, entry)

    async def settle(
        self, entry_id: str, outcome: AuditOutcome, at: datetime, error: CommandError | None = None
    ) -> None:
        settled = {"outcome": outcome, "ended_at": at, "error": error}
        self.kept[entry_id] = self.kept[entry_id].model_copy(update=settled)
