"""The adapters of `GenerationStreams` as their suite needs them: several processes on the same logs, logs that get lost."""

from collections.abc import AsyncGenerator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from time import time
from typing import Protocol

import redis.asyncio

from contracts.ports.streams import GenerationStreams
from infra.memory.streams import MemoryGenerationStreams
from infra.redis.streams import RedisGenerationStreams


@dataclass(frozen=True)
class Pace:
    """Seconds, as the adapters take them."""

    lease: float = 10.0
    look: float = 5.0
    stalled: float = 10.0


class Place(Protocol):
    """Where an adapter keeps logs."""

    def process(self, pace: Pace = Pace()) -> AbstractAsyncContextManager[GenerationStreams]:
        """The adapter as one process has it. In memory all processes are one."""
        ...

    async def lose(self, generation_id: str) -> None:
        """The log is gone, as after a loss of data."""
        ...

    async def seconds_left(self, generation_id: str) -> float:
        """Until the log expires."""
        ...


@dataclass
class MemoryPlace:
    """One object for everybody. The first `process` decides its pace."""

    streams: MemoryGenerationStreams | None = None

    @asynccontextmanager
    async def process(self, pace: Pace = Pace()) -> AsyncGenerator[GenerationStreams, None]:
        if self.streams is None:
            self.streams = MemoryGenerationStreams(lease=pace.lease, look=pace.look, stalled=pace.stalled)
        yield self.streams

    async def lose(self, generation_id: str) -> None:
        assert self.streams is not None
        log = self.streams.logs.by_id.pop(generation_id)
        log.wake()

    async def seconds_left(self, generation_id: str) -> float:
        assert self.streams is not None
        return self.streams.logs.by_id[generation_id].expires - time()


@dataclass
class RedisPlace:
    """A database. Processes believe at once that a worker without a control subscription is gone (`settled`)."""

    url: str
    settled: float = 0.0

    @asynccontextmanager
    async def process(self, pace: Pace = Pace()) -> AsyncGenerator[GenerationStreams, None]:
        async with RedisGenerationStreams(
            self.url, lease=pace.lease, look=pace.look, stalled=pace.stalled, settled=self.settled
        ) as streams:
            yield streams

    async def lose(self, generation_id: str) -> None:
        async with redis.asyncio.Redis.from_url(self.url) as client:
            assert await client.delete(f"{{g:{generation_id}}}", f"{{g:{generation_id}}}:s") == 2

    async def seconds_left(self, generation_id: str) -> float:
        async with redis.asyncio.Redis.from_url(self.url) as client:
            log, events = [await client.pttl(f"{{g:{generation_id}}}{end}") for end in ("", ":s")]
        assert abs(log - events) < 1000
        return log / 1000
