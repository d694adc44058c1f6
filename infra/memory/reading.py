"""The followers' side of the logs in memory."""

import asyncio
import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import suppress

from contracts.commands import Question
from contracts.errors import LogMissing
from contracts.generation import Restarted, encode, is_terminal
from contracts.ports.streams import Batch, GenerationReading, LogEvent, Snapshot
from infra.memory.log import Log, Logs

LOOK = 5.0
"""Seconds after which a follower that saw nothing looks at the log's state."""
STALLED = 10.0
"""Seconds without a lease or an end after which the store may know more."""


class MemoryGenerationReading(GenerationReading):
    """Reading the process's own logs."""

    logs: Logs

    async def follow(self, generation_id: str, after: str | None = None) -> AsyncGenerator[Batch, None]:
        log = self._log(generation_id)
        before, position = _start(log, after)
        changed = asyncio.Event()
        log.followers.add(changed)
        try:
            while True:
                changed.clear()
                events = (*before, *log.events[position:])
                before, position = (), log.next
                yield Batch(events, stalled=_stalled(log))
                if events and is_terminal(events[-1].encoded):
                    return
                with suppress(TimeoutError):
                    await asyncio.wait_for(changed.wait(), LOOK)
                if self._log(generation_id) is not log:
                    raise LogMissing("The log was replaced.")
        finally:
            log.followers.discard(changed)

    async def open(self, owner: str) -> Sequence[Question]:
        self.logs.sweep()
        return [question for question, _ in self.logs.open.get(owner, {}).values()]

    async def read(self, generation_ids: Sequence[str]) -> Sequence[Snapshot | None]:
        found = [self.logs.get(one) for one in generation_ids]
        return [None if log is None or log.state == "aborted" else log.shown() for log in found]

    def _log(self, generation_id: str) -> Log:
        log = self.logs.get(generation_id)
        if log is None or log.state == "aborted":
            raise LogMissing(f"There is no log of generation {generation_id}.")
        return log


def _start(log: Log, after: str | None) -> tuple[tuple[LogEvent, ...], int]:
    """What comes before the log itself, and the seq to begin at."""
    if after is None:
        return (), 0
    for seq, event in enumerate(log.events):
        if event.id == after:
            last = is_terminal(event.encoded)  # resuming after the end gives the end again
            return (), seq if last else seq + 1
    restarted = encode(Restarted(attempt=max(1, log.attempt), reason="log_lost"))
    return (LogEvent(None, restarted),), 0


def _stalled(log: Log) -> bool:
    return log.state != "closed" and not log.leased() and time.monotonic() - log.changed_at > STALLED
