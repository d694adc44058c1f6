"""The streams of administrators' commands in Redis: logs like those of generations, that anybody may tell to."""

from collections.abc import AsyncGenerator, Sequence
from contextlib import AsyncExitStack, aclosing
from dataclasses import replace
from secrets import randbelow
from types import TracebackType
from typing import Self

from contracts.ports.administration import CommandLogs
from contracts.ports.streams import Batch
from contracts.progress import KEPT_FOR, MOST_EVENTS, to_the_end
from infra.redis.admission import CHANCE
from infra.redis.connection import Connection
from infra.redis.follower import Pace
from infra.redis.followers import Followers
from infra.redis.keys import events_of, live_of, log_of
from infra.redis.scripts import scripts
from infra.redis.subscriptions import Subscriptions


class RedisCommandLogs(CommandLogs):
    """Over two connections of its own: calls, and pub/sub. A log stands where a generation's of that id would. Entering raises
    Unavailable without Redis.

    Seconds: `look`: at least this often a batch; `stalled`: nothing was told for so long; `unreadable`: after so long without
    Redis a follower raises Unavailable; `keep`: after its last event a log stays so long. `most` events a log holds.
    """

    def __init__(
        self,
        url: str,
        *,
        look: float = 5.0,
        stalled: float = 10.0,
        unreadable: float = 30.0,
        keep: float = KEPT_FOR,
        most: int = MOST_EVENTS,
    ) -> None:
        self._connection = Connection(url, scripts("tell"))
        self._subscriptions = Subscriptions(url)
        self._followers = Followers(self._connection, self._subscriptions, Pace(look, stalled, unreadable))
        self._keep_ms = round(keep * 1000)
        self._most = most
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as stack:
            for one in (self._connection, self._subscriptions, self._followers):
                await stack.enter_async_context(one)
            self._stack = stack.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stack.__aexit__(kind, error, trace)

    async def tell(self, command_id: str, accepted: bytes, events: Sequence[bytes]) -> None:
        told, ends = to_the_end(events)
        await self._connection.run(
            "tell", 2, log_of(command_id), events_of(command_id), live_of(command_id),
            randbelow(CHANCE), self._keep_ms, self._most, int(ends), accepted, *told,
        )  # fmt: skip

    async def follow(self, command_id: str, after: str | None = None) -> AsyncGenerator[Batch, None]:
        async with (
            self._followers.joined(command_id, after) as follower,
            aclosing(follower.batches()) as batches,
        ):
            async for batch in batches:  # what has no id is the `restarted` of a log that began again
                yield replace(batch, events=tuple(one for one in batch.events if one.id is not None))
