"""`GenerationStreams` on Redis. `memory-bank/generation.md` is the protocol: keys, scripts, epochs, lifetimes."""

from contextlib import AsyncExitStack
from types import TracebackType
from typing import Self

from contracts.errors import Unavailable
from contracts.ports.streams import GenerationStreams
from infra.redis.admission import RedisGenerationAdmission
from infra.redis.connection import Connection
from infra.redis.follower import Pace
from infra.redis.followers import Followers
from infra.redis.lines import RedisGenerationWaiting
from infra.redis.reading import RedisGenerationReading
from infra.redis.scripts import scripts
from infra.redis.subscriptions import Subscriptions
from infra.redis.sweeping import RedisGenerationSweeping
from infra.redis.wire import Wire
from infra.redis.writing import RedisGenerationWriting

_SCRIPTS = (
    "admit", "create", "confirm", "abort", "drop", "leave", "claim", "append", "renew", "release", "restore", "seal", "close",
    "cancel", "recorded", "settle", "waiting", "beat", "served",
)  # fmt: skip


class RedisGenerationStreams(
    RedisGenerationAdmission,
    RedisGenerationWriting,
    RedisGenerationReading,
    RedisGenerationWaiting,
    RedisGenerationSweeping,
    GenerationStreams,
):
    """Logs that every process shares, over two connections: calls, and pub/sub. Entering raises Unavailable without Redis.

    Seconds: `lease` that a claim holds without being renewed; `look`, `stalled` as in the port's `Batch`; `unreadable`: after so
    long without Redis a follower raises Unavailable; `settled`: how long these connections must have lasted before a worker
    without a control subscription counts as gone.
    """

    def __init__(
        self,
        url: str,
        *,
        lease: float = 10.0,
        look: float = 5.0,
        stalled: float = 10.0,
        unreadable: float = 30.0,
        settled: float = 5.0,
    ) -> None:
        self.lease = lease
        self.settled = settled
        self.cluster = True
        self.connection = Connection(url, scripts(*_SCRIPTS), on_open=self._note_cluster)
        self.subscriptions = Subscriptions(url)
        self.followers = Followers(self.connection, self.subscriptions, Pace(look, stalled, unreadable))
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as stack:
            for one in (self.connection, self.subscriptions, self.followers):
                await stack.enter_async_context(one)
            self._stack = stack.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stack.__aexit__(kind, error, trace)

    async def check(self) -> None:
        """Raises Unavailable without an answer, or where Redis is set to forget what it holds."""
        persistence, memory = await self.connection.each(("INFO", "persistence"), ("INFO", "memory"))
        wrong = [
            sentence
            for sentence, right in (
                ("AOF is off (appendonly yes)", b"aof_enabled:1" in persistence),
                ("it evicts (maxmemory-policy noeviction)", b"maxmemory_policy:noeviction" in memory),
            )
            if not right
        ]
        if wrong:
            raise Unavailable(f"Redis may lose answers in progress: {'; '.join(wrong)}.")

    async def _note_cluster(self, wire: Wire) -> None:
        """In a cluster NUMSUB counts one node's subscribers only: there nobody may be taken for gone."""
        reply = await wire.send(("INFO", "cluster"))
        self.cluster = not (isinstance(reply, bytes) and b"cluster_enabled:0" in reply)
