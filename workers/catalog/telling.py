"""How far a step has come, told to the streams of all commands that wait for it, and kept in the store."""

import time
from collections import deque
from dataclasses import dataclass, field

import structlog

from contracts.administration import AdminCommand, Step, StepProgress
from contracts.errors import Unavailable
from contracts.ports.administration import CommandLogs, Commands
from contracts.ports.management import Pulled
from contracts.progress import CommandProgress, accepted_of, encode_command_event

log = structlog.get_logger()

TOLD_EVERY = 0.25
"""Seconds between two events of the same phase: a person sees no more, and a pull of hours stays below the log's 10,000."""
TOLD_EVERY_LATER = 5.0
"""The same after the first 500 events."""
MANY = 500
KEPT_EVERY = 1.0
RATED_OVER = 5.0
"""Seconds over which the rate is taken."""


class Telling:
    """Tells the progress of one step. What cannot be told now is left out: the next says more, and the end is told by others."""

    def __init__(self, logs: CommandLogs, commands: Commands, step: Step) -> None:
        self._logs = logs
        self._commands = commands
        self.step = step
        """As the lease was renewed last: those who wait for it now."""
        self._accepted: dict[str, bytes] = {}
        self._told: tuple[str, float] = ("", 0.0)
        self._kept_at = 0.0
        self._count = 0
        self._unreachable = False

    async def tell(self, progress: StepProgress) -> None:
        """Tell it, if it is another phase or the last one was told long enough ago."""
        phase, now = f"{progress.status} {progress.digest}", time.monotonic()
        again = TOLD_EVERY if self._count < MANY else TOLD_EVERY_LATER
        done = progress.total is not None and progress.completed == progress.total
        if self._told[0] == phase and now - self._told[1] < again and not done:
            return
        self._told = (phase, now)
        self._count += 1
        encoded = encode_command_event(CommandProgress.model_validate(progress.model_dump()))
        keep = now - self._kept_at >= KEPT_EVERY
        self._kept_at = now if keep else self._kept_at
        try:
            for command_id in self.step.commands:
                await self._logs.tell(command_id, await self._begins(command_id), [encoded])
                if keep:
                    await self._commands.note_progress(command_id, progress)
            self._unreachable = False
        except Unavailable as error:
            if not self._unreachable:
                log.warning("progress_not_told", step=self.step.key, why=str(error))
            self._unreachable = True

    async def _begins(self, command_id: str) -> bytes:
        """The first event of its stream."""
        if command_id not in self._accepted:
            found = await self._commands.get(command_id)
            self._accepted[command_id] = b"" if found is None else _accepted(found)
        return self._accepted[command_id]


def _accepted(command: AdminCommand) -> bytes:
    return encode_command_event(accepted_of(command))


@dataclass
class Layers:
    """Adds up what a pull says of its layers. Bytes; the rate is that of the last seconds."""

    backend: str
    _layers: dict[str, tuple[int, int]] = field(default_factory=dict[str, tuple[int, int]])
    _seen: deque[tuple[float, int]] = field(default_factory=deque[tuple[float, int]])

    def after(self, pulled: Pulled) -> StepProgress:
        """The progress with this sign of life."""
        if pulled.digest is None or pulled.total is None:
            return StepProgress(backend=self.backend, status=pulled.status)
        completed = pulled.completed or 0
        self._layers[pulled.digest] = (completed, pulled.total)
        all_completed = sum(one for one, _ in self._layers.values())
        all_total = sum(one for _, one in self._layers.values())
        rate = self._rate(all_completed)
        left = all_total - all_completed
        return StepProgress(
            backend=self.backend, status=pulled.status, digest=pulled.digest, total=pulled.total, completed=completed,
            all_total=all_total, all_completed=all_completed, rate=rate,
            eta_ms=round(left / rate * 1000) if rate else None,
        )  # fmt: skip

    @property
    def completed(self) -> int:
        """Bytes of all layers."""
        return sum(one for one, _ in self._layers.values())

    def _rate(self, completed: int) -> float | None:
        now = time.monotonic()
        self._seen.append((now, completed))
        while len(self._seen) > 2 and now - self._seen[0][0] > RATED_OVER:
            self._seen.popleft()
        began, before = self._seen[0]
        return round((completed - before) / (now - began), 1) if now - began > 0.2 and completed > before else None
