"""The followers' side of the logs in memory."""

import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing

from contracts.commands import Question
from contracts.errors import LogMissing
from contracts.generation import Restarted, encode
from contracts.ports.streams import Batch, GenerationReading, LogEvent, Snapshot
from infra.memory.following import followed
from infra.memory.log import Log, Logs


class MemoryGenerationReading(GenerationReading):
    """Reading the process's own logs. `look`: seconds after which a follower that saw nothing looks at the log's state."""

    logs: Logs
    look: float
    stalled: float

    async def follow(self, generation_id: str, after: str | None = None) -> AsyncGenerator[Batch, None]:
        batches = followed(lambda: self._log(generation_id), after, self.look, void=_void, stalled=self._stalled)
        async with aclosing(batches):
            async for batch in batches:
                yield batch

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


def _void(log: Log) -> tuple[LogEvent, ...]:
    """Whatever the follower has is void: the log begins again."""
    return (LogEvent(None, encode(Restarted(attempt=max(1, log.attempt), reason="log_lost"))),)
