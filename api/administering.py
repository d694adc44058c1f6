"""What administrators order of models: kept, noted, published; then seen, followed and cancelled.

The store knows how a command stands. The catalog's workers hear of it by the bus, and find in the store what they did not hear.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TypeVar

import structlog

from api.errors import KeyMismatch, Mistaken, request_id
from api.reaching import Reaching
from contracts.administration import (
    ENDED,
    KINDS,
    AdminCommand,
    AuditEntry,
    CommandError,
    CommandStatus,
    record_of,
    step_of,
)
from contracts.commands import AliasModel, CreateModel, DeleteModel, ModelCommand, PullModel
from contracts.concluding import Concluding
from contracts.errors import Conflict, NotFound, OllamaNetError, Unavailable, UnknownModel
from contracts.ids import id_at, is_id, new_id
from contracts.ports.administration import Audit, BackendReports, CommandLogs, Commands, Steps
from contracts.ports.bus import Bus
from contracts.ports.stores import Backends, Models
from contracts.progress import accepted_of, encode_command_event
from contracts.records import Page

log = structlog.get_logger()

REMEMBERED = timedelta(hours=24)
_NOT_DETAILS = {"command_id", "asked_by", "asked_at", "model"}
C = TypeVar("C", bound=ModelCommand)


@dataclass(frozen=True)
class Administering:
    """Orders of administrators. Every call raises Unavailable when the store does not answer."""

    commands: Commands
    steps: Steps
    logs: CommandLogs
    audit: Audit
    models: Models
    backends: Backends
    reports: BackendReports
    bus: Bus
    reaching: Reaching

    @property
    def _concluding(self) -> Concluding:
        return Concluding(self.commands, self.logs, self.audit)

    async def order(self, kind: type[C], by: str, model: str, key: str | None, **fields: object) -> AdminCommand:
        """Accept a command; a repeat under the same key gets the same one. What is refused leaves nothing but its audit entry.

        Raises UnknownModel, Mistaken, Conflict (model_in_use, model_being_pulled), KeyMismatch, Unroutable, Overloaded.
        """
        command_id, before = await self._identity(by, key)
        if before is not None:
            return _same(before, kind, model, fields)
        now = _to_the_millisecond(datetime.now(UTC))
        command = kind.model_validate(
            {"command_id": command_id, "asked_by": by, "model": model, "asked_at": now, **fields}
        )
        await self._check(command)
        kept = await self.commands.add(record_of(command))
        if kept.asked_at != now:  # the same request, in the same moment
            return _same(kept, kind, model, fields)
        await self._accept(kept, command)
        return kept

    async def _accept(self, kept: AdminCommand, command: ModelCommand) -> None:
        details = {name: value for name, value in kept.body.items() if name not in _NOT_DETAILS and value}
        entry = AuditEntry(
            id=kept.id, at=kept.asked_at, actor=kept.asked_by, action=kept.kind, subject=kept.model, details=details,
            request_id=request_id(),
        )  # fmt: skip
        try:
            await self.audit.note(entry)
            await self.bus.publish(command)
        except OllamaNetError as error:
            await self.commands.forget(kept.id)
            failed = CommandError(code="not_accepted", message=str(error))
            await self.audit.settle(kept.id, "failed", datetime.now(UTC), failed)
            raise
        log.info("command_accepted", command_id=kept.id, kind=kept.kind, model=kept.model, by=kept.asked_by)
        try:
            await self.logs.tell(kept.id, encode_command_event(accepted_of(kept)), [])
        except Unavailable as error:  # who follows it is told from the store
            log.warning("command_not_told", command_id=kept.id, why=str(error))

    async def _identity(self, by: str, key: str | None) -> tuple[str, AdminCommand | None]:
        """A new id, and the command of that key where it was accepted before: ids of one key are the same for a day."""
        if key is None:
            return new_id(), None
        today = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
        ids = [
            id_at(round(day.timestamp() * 1000), f"command {by} {key}") for day in (today, today - timedelta(days=1))
        ]
        for one in ids:
            found = await self.commands.get(one)
            if found is not None and datetime.now(UTC) - found.asked_at < REMEMBERED:
                return one, found
        return ids[0], None

    async def _check(self, command: ModelCommand) -> None:
        """What can be refused at once, is. A worker looks again: things may have changed until it takes the command up."""
        if isinstance(command, PullModel | CreateModel):
            await self._check_place(command)
        elif not (isinstance(command, AliasModel) and command.remove):
            known = {one.name for one in await self.models.all()}
            if command.model.removesuffix(":latest") not in known:
                raise UnknownModel(command.model)
        if isinstance(command, DeleteModel) and not command.force:
            await self._check_unused(command)

    async def _check_place(self, command: PullModel | CreateModel) -> None:
        known = set(await self.backends.names()) if command.backends else set[str]()
        for number, name in enumerate(command.backends):
            if name not in known:
                raise Mistaken(f"/backends/{number}", f"There is no back-end named {name!r}.")
        host = registry_of(command.model)
        if host is not None and isinstance(command, PullModel):
            try:
                await self.reaching.check(f"https://{host}")
            except Mistaken as error:
                raise Mistaken("/name", str(error)) from error

    async def _check_unused(self, command: DeleteModel) -> None:
        name = command.model.removesuffix(":latest")
        wanted = set(command.backends)
        for one in await self.steps.concerning(name):
            if one.kind == "PullModel" and (not wanted or one.target in wanted):
                sentence = f"{one.target} is fetching {name!r} now: cancel that, or delete with force."
                raise Conflict("model_being_pulled", sentence)
        users = sum(
            one.running.get(name, 0) for one in await self.reports.recent() if not wanted or one.backend in wanted
        )
        if users and not command.drain:
            sentence = f"{name!r} answers {users} question{'s' * (users > 1)} now: delete with drain, or with force."
            raise Conflict("model_in_use", sentence)

    async def find(self, command_id: str) -> AdminCommand:
        """Raises NotFound."""
        found = await self.commands.get(command_id) if is_id(command_id) else None
        if found is None:
            raise NotFound("There is no such command.")
        return found

    async def page(
        self, limit: int, cursor: str | None, status: CommandStatus | None, model: str | None
    ) -> Page[AdminCommand]:
        """The newest first. Raises ValueError for a cursor that it did not make."""
        return await self.commands.page(limit, cursor, status=status, model=model)

    async def aliased(self, alias: str) -> str:
        """The model that an alias names. Raises NotFound."""
        plain = alias.removesuffix(":latest")
        found = next((one for one in await self.models.aliases() if one.name == plain), None)
        if found is None:
            raise NotFound(f"There is no alias {alias[:100]!r}.")
        return found.model

    async def cancel(self, command_id: str, by: str) -> AdminCommand:
        """End it as cancelled, if it has not ended; what others wait for too goes on. The command as it is now. Raises NotFound."""
        command = await self.find(command_id)
        if command.status in ENDED:
            return command
        entry = AuditEntry(
            id=new_id(), at=datetime.now(UTC), actor=by, action="CancelCommand", subject=command.id,
            details={"kind": command.kind, "model": command.model}, request_id=request_id(),
        )  # fmt: skip
        await self.audit.note(entry)
        ended = await self._concluding.conclude(command.id, "cancelled")
        await self.audit.settle(entry.id, "completed", datetime.now(UTC))
        now = ended or await self.find(command_id)
        if (kind := KINDS.get(now.kind)) is not None:
            whole = kind.model_validate(now.body)
            for target in now.missing:
                await self.steps.detach(step_of(whole, target).key, now.id)
        return now


def registry_of(model: str) -> str | None:
    """The host that stands in a model's name (`host/namespace/model:tag`); None: Ollama's own registry."""
    parts = model.split("/")
    return parts[0] if len(parts) > 2 or (len(parts) == 2 and (":" in parts[0] or "." in parts[0])) else None


def _same(before: AdminCommand, kind: type[ModelCommand], model: str, fields: dict[str, object]) -> AdminCommand:
    again = kind.model_validate(
        {"command_id": before.id, "asked_by": before.asked_by, "model": model, "asked_at": before.asked_at, **fields}
    )
    if again.model_dump(mode="json") != before.body:
        raise KeyMismatch
    return before


def _to_the_millisecond(moment: datetime) -> datetime:
    return moment.replace(microsecond=moment.microsecond // 1000 * 1000)
