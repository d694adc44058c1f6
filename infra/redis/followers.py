"""Everybody in this process who follows a log. One subscription a log, one look at all idle logs together."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from types import TracebackType
from typing import Self

import structlog

from contracts.errors import Unavailable
from contracts.ports.streams import LogEvent
from infra.redis.connection import Connection
from infra.redis.follower import Follower, Pace, Published
from infra.redis.keys import live_of
from infra.redis.logs import Standing, standing_command, standing_from
from infra.redis.subscriptions import Listener, Subscriptions

log = structlog.get_logger()

TOGETHER = 500
"""Logs looked at in one pipeline."""


class Followed(Listener):
    """One log, and those here who follow it: what is published is taken apart once."""

    def __init__(self) -> None:
        self.followers: list[Follower] = []

    def message(self, data: bytes) -> None:
        published = None if data == b"!" else _published(data)
        for follower in self.followers:
            follower.fall_behind() if published is None else follower.put(published)

    def lost(self, why: str) -> bool:
        return True

    def back(self) -> None:
        for follower in self.followers:
            follower.fall_behind()


class Followers:
    """Followers by log."""

    def __init__(self, connection: Connection, subscriptions: Subscriptions, pace: Pace) -> None:
        self._connection = connection
        self._subscriptions = subscriptions
        self._pace = pace
        self._followed: dict[str, Followed] = {}
        self._looking: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self._looking = asyncio.create_task(self._look(), name="redis followers")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._looking is not None:
            self._looking.cancel()
            with suppress(asyncio.CancelledError):
                await self._looking

    @asynccontextmanager
    async def joined(self, generation_id: str, after: str | None) -> AsyncGenerator[Follower, None]:
        """A follower that hears what is published from now on. Raises Unavailable."""
        followed = self._followed.setdefault(generation_id, Followed())
        follower = Follower(self._connection, generation_id, after, self._pace)
        followed.followers.append(follower)
        try:
            await self._subscriptions.add(live_of(generation_id), followed)
            yield follower
        finally:
            followed.followers.remove(follower)
            if not followed.followers:
                self._followed.pop(generation_id, None)
                await self._subscriptions.remove(live_of(generation_id), followed)

    async def _look(self) -> None:
        while True:
            await asyncio.sleep(self._pace.look / 5)
            now = asyncio.get_running_loop().time()
            idle = [(one, f) for one, followed in self._followed.items() for f in followed.followers if f.idle(now)]
            for start in range(0, len(idle), TOGETHER):
                await self._look_at(idle[start : start + TOGETHER])

    async def _look_at(self, idle: list[tuple[str, Follower]]) -> None:
        ids = list(dict.fromkeys(generation_id for generation_id, _ in idle))
        try:
            time, *replies = await self._connection.each(("TIME",), *map(standing_command, ids))
        except Unavailable:
            for _, follower in idle:
                follower.fall_behind()  # it tries to read, and knows how long to
            return
        standing: dict[str, Standing | None] = {
            one: standing_from(reply, time) for one, reply in zip(ids, replies, strict=True)
        }
        for generation_id, follower in idle:
            follower.looked(standing[generation_id])


def _published(data: bytes) -> Published | None:
    """What a channel said; None where it is not understood, as a newer writer's may be."""
    try:
        events = tuple(_event(line) for line in data.split(b"\n"))
        epoch, first = (int(part) for part in str(events[0].id).split("-"))
    except ValueError:
        log.warning("message_not_understood", begins=data[:80])
        return None
    return Published(epoch, first, events, len(data))


def _event(line: bytes) -> LogEvent:
    event_id, encoded = line.split(b" ", 1)
    return LogEvent(event_id.decode(), encoded)
