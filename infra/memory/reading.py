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


class MemoryGenerationReading(GenerationReading):
    """Reading the process's own logs. `look`: seconds after which a follower that saw nothing looks at the log's state."""

    logs: Logs
    look: float
    stalled: float

    async def follow(self, generation_id: str, after: str | None = None) -> AsyncGenerator[Batch, None]:
        changed = asyncio.Event()
        log = self._log(generation_id)
        try:
            before, position = _start(log, after)
            while True:
                log.followers.add(changed)
                changed.clear()
                events = (*before, *log.events[position:])
                before, position = (), log.next
                after = events[-1].id if events else after
                yield Batch(events, stalled=self._stalled(log))
                if events and is_terminal(events[-1].encoded):
                    return
                with suppress(TimeoutError):
                    await asyncio.wait_for(changed.wait(), self.look)
                # another one took its place: a restored one holds what was read
                if (now := self._log(generation_id)) is not log:
                    log.followers.discard(changed)
                    log = now
                    before, position = _start(log, after)
        finally:
            log.followers.discard(changed)

    async def open(self, owner: str) -> Sequence[Question]:
        self.logs.sweep()
        self.logs.trim(owner)
        return [entry.question for entry in self.logs.open.get(owner, {}).values()]

    async def head(self, generation_id: str) -> Snapshot | None:
        log = self.logs.get(generation_id)
        return None if log is None else log.head()

    async def read(self, generation_ids: Sequence[str]) -> Sequence[Snapshot | None]:
        found = [self.logs.get(one) for one in generation_ids]
        return [None if log is None or log.state == "aborted" else log.snapshot() for log in found]

    def _log(self, generation_id: str) -> Log:
        log = self.logs.get(generation_id)
        if log is None or log.state == "aborted":
            raise LogMissing(f"There is no log of generation {generation_id}.")
        return log

    def _stalled(self, log: Log) -> bool:
        return log.state != "closed" and time.monotonic() - log.lease > self.stalled


def _start(log: Log, after: str | None) -> tuple[tuple[LogEvent, ...], int]:
    """What comes before the log itself, and the seq to begin at."""
    if after is None:
        return (), 0
    for seq, event in enumerate(log.events):
        if event.id == after:
            last = is_terminal(event.encoded)  # resuming after the end gives the end again
            return (), seq if last else seq + 1
    return _void(log), 0


def _void(log: Log) -> tuple[LogEvent, ...]:
    """Whatever the follower has is void: the log begins again."""
    return (LogEvent(None, encode(Restarted(attempt=max(1, log.attempt), reason="log_lost"))),)
