"""How an administrator's command ends, whoever ends it: the store decides, then the stream and the audit are told."""

from dataclasses import dataclass
from datetime import UTC, datetime

import structlog

from contracts.administration import AdminCommand, CommandError, CommandStatus
from contracts.errors import Unavailable
from contracts.ports.administration import Audit, CommandLogs, Commands
from contracts.progress import accepted_of, encode_command_event, end_of

log = structlog.get_logger()


@dataclass(frozen=True)
class Concluding:
    """Ends commands. `conclude` decides; `tell` may be repeated by anybody who finds a command ended."""

    commands: Commands
    logs: CommandLogs
    audit: Audit

    async def conclude(
        self, command_id: str, status: CommandStatus, error: CommandError | None = None
    ) -> AdminCommand | None:
        """The command as it ended by this; None where it had ended already. Raises Unavailable when the store does not answer."""
        ended = await self.commands.end(command_id, status, datetime.now(UTC), error)
        if ended is None:
            return None
        log.info(
            "command_ended",
            command_id=command_id,
            kind=ended.kind,
            model=ended.model,
            status=status,
            code=error.code if error else None,
        )
        await self.tell(ended)
        return ended

    async def tell(self, ended: AdminCommand) -> None:
        """Write its end into the audit and its stream, each as far as it can be reached: followers look into the store too, and
        the audit's entry is made up for by the sweep."""
        last = end_of(ended)
        if last is None or ended.ended_at is None:
            return
        outcome = "completed" if last.event == "completed" else "failed" if last.event == "failed" else "cancelled"
        try:
            await self.audit.settle(ended.id, outcome, ended.ended_at, ended.error)
        except Unavailable as error:
            log.warning("audit_not_settled", command_id=ended.id, why=str(error))
        try:
            await self.logs.tell(ended.id, encode_command_event(accepted_of(ended)), [encode_command_event(last)])
        except Unavailable as error:
            log.warning("command_end_not_told", command_id=ended.id, why=str(error))
