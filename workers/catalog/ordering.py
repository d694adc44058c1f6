"""From an administrator's command to the steps it consists of; and what was left behind is taken up again."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import structlog

from contracts.administration import ENDED, KINDS, AdminCommand, CommandError, record_of, step_of
from contracts.commands import ModelCommand
from contracts.concluding import Concluding
from contracts.errors import Unavailable
from contracts.ports.administration import Commands, Steps
from contracts.ports.backend import BackendRoster
from contracts.ports.bus import Delivery
from contracts.ports.stores import Models
from workers.catalog.settling import Settling
from workers.catalog.targets import CommandRefused, targets_of

log = structlog.get_logger()

LEFT_BEHIND = timedelta(seconds=10)
"""A command that is older and has not moved on was not heard, or lost its worker between two writes."""
LOOKED_THROUGH = 100
"""Of the audit record, the newest: what died between a command's end and its entry is not older."""
LONGEST = timedelta(hours=24)
"""No command goes on for longer."""


@dataclass(frozen=True)
class Ordering:
    """`wake`: says that there are steps to be taken."""

    commands: Commands
    steps: Steps
    models: Models
    roster: BackendRoster
    concluding: Concluding
    settling: Settling
    wake: Callable[[], None]

    async def order(self, command: ModelCommand, delivery: Delivery) -> None:
        """Take a command up: its steps are in the store when this returns, and the delivery can go. Harmless when repeated."""
        await self._take_up(await self.commands.add(record_of(command)), command)

    async def _take_up(self, record: AdminCommand, command: ModelCommand) -> None:
        if record.status in ENDED:
            return
        if record.status == "queued":
            try:
                targets = await self._targets(command)
            except CommandRefused as refused:
                await self.concluding.conclude(record.id, "failed", refused.error)
                return
            record = await self.commands.start(record.id, targets, datetime.now(UTC)) or record
            log.info("command_begun", command_id=record.id, kind=record.kind, model=record.model, targets=targets)
        for target in record.missing:
            await self.steps.attach(step_of(command, target), record.id)
        now = await self.commands.get(record.id)
        if now is None or now.status in ENDED:  # cancelled meanwhile, by somebody who did not see these steps
            for target in record.targets:
                await self.steps.detach(step_of(command, target).key, record.id)
            return
        if not now.missing:
            await self.settling.settle(now)
        self.wake()

    async def _targets(self, command: ModelCommand) -> tuple[str, ...]:
        """A back-end that was added a moment ago is read before a command fails for want of it."""
        models = {one.name: one for one in await self.models.all()}
        try:
            return targets_of(command, self.roster.backends, models)
        except CommandRefused:
            await self.roster.refresh()
            return targets_of(command, self.roster.backends, models)

    async def sweep(self) -> None:
        """What was left behind: commands that nobody heard, steps that were lost between two writes, ends that nobody concluded."""
        now = datetime.now(UTC)
        for record in await self.commands.unfinished():
            if now - record.asked_at > LONGEST:
                error = CommandError(code="expired", message="It had not ended after 24 hours.")
                await self._give_up(record, error)
            elif now - (record.started_at or record.asked_at) > LEFT_BEHIND:
                await self._again(record)

    async def settle_audit(self) -> None:
        """Entries of commands that have ended, whose worker or edge died before it had said so."""
        before = datetime.now(UTC) - LEFT_BEHIND
        page = await self.concluding.audit.page(LOOKED_THROUGH, None)
        for entry in page.items:
            if entry.outcome == "accepted" and entry.action in KINDS and entry.at < before:
                found = await self.commands.get(entry.id)
                if found is not None and found.status in ENDED:
                    await self.concluding.tell(found)

    async def _again(self, record: AdminCommand) -> None:
        kind = KINDS.get(record.kind)
        if kind is None:  # a newer worker knows it
            return
        await self._take_up(record, kind.model_validate(record.body))

    async def _give_up(self, record: AdminCommand, error: CommandError) -> None:
        kind = KINDS.get(record.kind)
        await self.concluding.conclude(record.id, "failed", error)
        for target in record.missing if kind else ():
            assert kind is not None
            await self.steps.detach(step_of(kind.model_validate(record.body), target).key, record.id)


async def sweeping(ordering: Ordering, every: float) -> None:
    """Sweep for ever. Several workers may: everything in it may be repeated."""
    while True:
        await asyncio.sleep(every)
        try:
            await ordering.sweep()
            await ordering.settle_audit()
        except Unavailable as error:
            log.warning("commands_not_swept", why=str(error))
        except Exception as error:
            log.error("sweep_crashed", exc_info=error)
