"""Deleting a model: refused while it is pulled or used, unless that is what the administrator wants, or waits for."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from contracts.administration import CATALOG, ENDED, CommandError, Step, StepProgress, StepResult
from contracts.commands import DeleteModel
from contracts.errors import BackendFailed
from contracts.ports.administration import BackendReports, Commands, Steps
from contracts.ports.backend import BackendRoster
from contracts.ports.bus import Bus
from contracts.ports.stores import Models
from contracts.public import ModelRetired
from contracts.records import ModelChanges
from workers.catalog.pulling import managed
from workers.catalog.settling import Settling
from workers.catalog.stepping import RENEWED_EVERY, StepFailed
from workers.catalog.telling import Telling

LOOKED_EVERY = 0.5
QUIET_FOR = 5.0
"""Seconds without anybody using it until it counts as unused: workers report every 2 s, and what was accepted before it was
retired still begins."""
DRAINED_WITHIN = 3600.0
STOPPED_WITHIN = 1.5 * RENEWED_EVERY
"""Seconds until the worker that pulls has seen that nobody waits for it any more."""


@dataclass(frozen=True)
class Deleting:
    """`ready(backend)`: look at that back-end."""

    models: Models
    commands: Commands
    steps: Steps
    settling: Settling
    reports: BackendReports
    bus: Bus
    roster: BackendRoster
    ready: Callable[[str], Awaitable[None]]
    quiet_for: float = QUIET_FOR

    async def delete(self, step: Step, telling: Telling) -> dict[str, object]:
        """Delete it from one back-end; one that does not have it (any more) is as good. Raises StepFailed, BackendFailed."""
        said = DeleteModel.model_validate(step.body)
        if step.target == CATALOG:
            return {}
        await self._pulled(step, force=said.force)
        if said.drain and not said.force:
            await self._drain(step, telling, retire=not said.backends)
        elif not said.force and (users := await self._users(step)):
            sentence = f"{step.target} answers {users} question{'s' * (users > 1)} with it now: drain it, or force."
            raise StepFailed("model_in_use", sentence)
        try:
            await managed(self.roster, step.target).delete(said.model)
        except BackendFailed as failed:
            if failed.code != "model_not_found":
                raise
        await self.ready(step.target)
        return {"deleted": True}

    async def _pulled(self, step: Step, *, force: bool) -> None:
        """Nobody pulls it there; with `force` those who wait for it are let go of, and what they wanted fails."""
        for one in await self.steps.concerning(step.model):
            if one.kind != "PullModel" or one.target != step.target:
                continue
            if not force:
                raise StepFailed("model_being_pulled", f"{step.target} is fetching it now: cancel that, or force.")
            for command_id in one.commands:
                await self._let_go(one, command_id)
            await asyncio.sleep(STOPPED_WITHIN)

    async def _let_go(self, pull: Step, command_id: str) -> None:
        error = CommandError(code="model_deleted", message=f"{pull.model!r} was deleted from {pull.target} meanwhile.")
        result = StepResult(error=error, ended_at=datetime.now(UTC))
        command = await self.commands.note_result(command_id, pull.target, result)
        if command is not None and command.status not in ENDED and not command.missing:
            await self.settling.settle(command)
        await self.steps.detach(pull.key, command_id)

    async def _users(self, step: Step) -> int:
        return sum(one.running.get(step.model, 0) for one in await self.reports.recent() if one.backend == step.target)

    async def _drain(self, step: Step, telling: Telling, *, retire: bool) -> None:
        """Nobody asks it any more, and the last answer has ended."""
        if retire:
            now = datetime.now(UTC)
            if await self.models.amend(step.model, ModelChanges(retired=True), now) is not None:
                await self.bus.publish(ModelRetired(name=step.model, at=now))
        loop = asyncio.get_running_loop()
        until, quiet_since = loop.time() + DRAINED_WITHIN, loop.time()
        while loop.time() - quiet_since < self.quiet_for:
            if users := await self._users(step):
                quiet_since = loop.time()
            if loop.time() > until:
                raise StepFailed("model_in_use", f"{step.target} still answers with it after an hour.")
            status = f"draining: {users} still being answered" if users else "draining"
            await telling.tell(StepProgress(backend=step.target, status=status))
            await asyncio.sleep(LOOKED_EVERY)
