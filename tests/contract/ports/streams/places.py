"""The adapters of `GenerationStreams` as their suite needs them: several processes on the same logs, logs that get lost."""

from collections.abc import AsyncGenerator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, replace
from time import monotonic, time
from typing import Protocol

import redis.asyncio

from contracts.ports.streams import GenerationStreams
from infra.memory.log import Log
from infra.memory.streams import MemoryGenerationStreams
from infra.redis.streams import RedisGenerationStreams
from tests.eventually import eventually


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

    async def later(self, seconds: float) -> None:
        """As if that much time had passed over lines, beats and the callers' keys."""
        ...

    async def backup(self, generation_id: str) -> object:
        """The log as it stands, for `put_back`."""
        ...

    async def put_back(self, generation_id: str, backup: object) -> None:
        """What was written since then is lost, as with a server that came back with its last writes missing."""
        ...

    async def overrun(self, generation_id: str) -> None:
        """The lease is over: its worker did not renew it."""
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

    async def later(self, seconds: float) -> None:
        assert self.streams is not None
        lines, keys = self.streams.lines, self.streams.keys
        for line in lines.waiting.values():
            line.update({one: since - seconds for one, since in line.items()})
        for workers in lines.workers.values():
            workers.update({one: (slots, beat - seconds) for one, (slots, beat) in workers.items()})
        keys.kept = {one: replace(kept, expires=kept.expires - seconds) for one, kept in keys.kept.items()}

    async def backup(self, generation_id: str) -> object:
        assert self.streams is not None
        return _copy(self.streams.logs.by_id[generation_id])

    async def put_back(self, generation_id: str, backup: object) -> None:
        assert self.streams is not None
        assert isinstance(backup, Log)
        now = int(time() * 1000)
        await eventually(
            lambda: int(time() * 1000) > now
        )  # no server comes back within the millisecond of its last write
        gone = self.streams.logs.by_id.get(generation_id)
        self.streams.logs.by_id[generation_id] = _copy(backup)
        if gone is not None:
            gone.wake()

    async def overrun(self, generation_id: str) -> None:
        assert self.streams is not None
        self.streams.logs.by_id[generation_id].lease = monotonic()


def _copy(log: Log) -> Log:
    return replace(log, events=list(log.events), followers=set())


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
            assert await client.delete(*_keys(generation_id)) == 2

    async def seconds_left(self, generation_id: str) -> float:
        async with redis.asyncio.Redis.from_url(self.url) as client:
            log, events = [await client.pttl(key) for key in _keys(generation_id)]
        assert abs(log - events) < 1000
        return log / 1000

    async def backup(self, generation_id: str) -> object:
        async with redis.asyncio.Redis.from_url(self.url) as client:
            return [(await client.dump(key), await client.pexpiretime(key)) for key in _keys(generation_id)]

    async def put_back(self, generation_id: str, backup: object) -> None:
        assert isinstance(backup, list)
        async with redis.asyncio.Redis.from_url(self.url) as client:
            async with client.pipeline() as all_at_once:
                for key, (dumped, expires) in zip(_keys(generation_id), backup, strict=True):
                    all_at_once.restore(key, expires, dumped, replace=True, absttl=True)
                await all_at_once.execute()
            # a server that came back cuts every subscription, and who subscribes again reads the log
            await client.publish(f"{{g:{generation_id}}}:p", "!")

    async def overrun(self, generation_id: str) -> None:
        async with redis.asyncio.Redis.from_url(self.url) as client:
            await client.hset(f"{{g:{generation_id}}}", "lease", int(time() * 1000) - 1)

    async def later(self, seconds: float) -> None:
        async with redis.asyncio.Redis.from_url(self.url) as client:
            for key in {*await client.keys("q:*"), *await client.keys("workers:*")}:  # SCAN may name one twice
                for member in await client.zrange(key, 0, -1):
                    await client.zincrby(key, -seconds * 1000, member)
            for key in await client.keys("*:idem:*"):
                await client.pexpire(key, await client.pttl(key) - round(seconds * 1000))


def _keys(generation_id: str) -> tuple[str, str]:
    return f"{{g:{generation_id}}}", f"{{g:{generation_id}}}:s"
