"""The streams of administrators' commands in the memory of one process."""

import asyncio
import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

from contracts.errors import LogMissing
from contracts.generation import is_terminal
from contracts.ports.administration import CommandLogs
from contracts.ports.streams import Batch, LogEvent
from contracts.progress import KEPT_FOR, MOST_EVENTS, to_the_end
from infra.memory.following import followed

MOST_LOGS = 1000
"""Beyond them the one that was told to the longest ago is forgotten: the store knows how its command stands."""


@dataclass
class CommandLog:
    """One command's events, under the epoch of its birth. `told_at`: of `time.monotonic`, when something was told last."""

    epoch: int = field(default_factory=lambda: time.time_ns() // 1000)
    told_at: float = field(default_factory=time.monotonic)
    events: list[LogEvent] = field(default_factory=list[LogEvent])
    followers: set[asyncio.Event] = field(default_factory=set[asyncio.Event])

    @property
    def ended(self) -> bool:
        """Whether the terminal event is there."""
        return bool(self.events) and is_terminal(self.events[-1].encoded)

    def add(self, encoded: bytes) -> None:
        """Add one event."""
        self.events.append(LogEvent(f"{self.epoch}-{len(self.events)}", encoded))

    def wake(self) -> None:
        """Something changed: followers look again."""
        for follower in self.followers:
            follower.set()


class MemoryCommandLogs(CommandLogs):
    """Logs of one process and one event loop.

    Seconds: `look`: at least this often a batch; `stalled`: nothing was told for so long; `keep`: after its last event a log stays
    so long. `most` events a log holds, and `most_logs` there are.
    """

    def __init__(
        self,
        *,
        look: float = 5.0,
        stalled: float = 10.0,
        keep: float = KEPT_FOR,
        most: int = MOST_EVENTS,
        most_logs: int = MOST_LOGS,
    ) -> None:
        self.logs: dict[str, CommandLog] = {}
        self._look = look
        self._after = stalled
        self._keep = keep
        self._most = most
        self._most_logs = most_logs

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.logs.clear()

    async def tell(self, command_id: str, accepted: bytes, events: Sequence[bytes]) -> None:
        self._forget()
        log = self.logs.get(command_id)
        if log is None:
            log = CommandLog()
            log.add(accepted)
        elif log.ended:
            return
        told, ends = to_the_end(events)
        for place, event in enumerate(told, 1):
            if len(log.events) < self._most or (ends and place == len(told)):
                log.add(event)
        log.told_at = time.monotonic()
        log.wake()
        self.logs.pop(command_id, None)
        self.logs[command_id] = log  # the last one now
        self._forget()

    async def follow(self, command_id: str, after: str | None = None) -> AsyncGenerator[Batch, None]:
        batches = followed(lambda: self._log(command_id), after, self._look, void=lambda _: (), stalled=self._stalled)
        async with aclosing(batches):
            async for batch in batches:
                yield batch

    def _log(self, command_id: str) -> CommandLog:
        self._forget()
        log = self.logs.get(command_id)
        if log is None:
            raise LogMissing(f"There is no stream of command {command_id}.")
        return log

    def _stalled(self, log: CommandLog) -> bool:
        return not log.ended and time.monotonic() - log.told_at > self._after

    def _forget(self) -> None:
        """Those that expired, or are too many. They stand in the order in which they were told to."""
        oldest = time.monotonic() - self._keep
        for command_id, log in list(self.logs.items()):
            if log.told_at >= oldest and len(self.logs) <= self._most_logs:
                return
            del self.logs[command_id]
            log.wake()
