"""One follower of one log: live while it keeps up, from the log wherever it does not."""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator
from dataclasses import dataclass

from contracts.errors import Unavailable
from contracts.generation import Restarted, encode, is_terminal
from contracts.ports.streams import Batch, LogEvent
from infra.redis.connection import Connection
from infra.redis.logs import Look, Standing, look

MOST_MESSAGES = 256
MOST_BYTES = 256 * 1024
"""What may wait for one follower; beyond it the follower reads the log, and nothing waits."""
PAUSE = 0.25
"""Seconds between tries to read while Redis is away."""


@dataclass(frozen=True)
class Published:
    """What one append published: events that follow on each other from seq `first`. All followers share the bytes."""

    epoch: int
    first: int
    events: tuple[LogEvent, ...]
    size: int

    @property
    def last(self) -> int:
        """The seq of the last one."""
        return self.first + len(self.events) - 1


@dataclass(frozen=True)
class Pace:
    """Seconds. `look`: at least this often a batch, and a look at the log. `stalled`: without lease and end, the store may know more.
    `unreadable`: a follower that cannot read for so long gives up, and comes back with the id it has."""

    look: float
    stalled: float
    unreadable: float


class Follower:
    """Gives batches that join seamlessly, after the event `after`."""

    def __init__(self, connection: Connection, generation_id: str, after: str | None, pace: Pace) -> None:
        self._connection = connection
        self._generation_id = generation_id
        self._last, self._epoch, self._seq = after, 0, -1
        self._pace = pace
        self._behind = True
        self._waiting: deque[Published] = deque()
        self._size = 0
        self._standing: Standing | None = None
        self._wake = asyncio.Event()
        self._given_at = 0.0
        self._unreadable_since: float | None = None

    @property
    def waiting(self) -> tuple[int, int]:
        """Messages, and their bytes, that it has not taken yet."""
        return len(self._waiting), self._size

    def put(self, published: Published) -> None:
        """Something was published."""
        if self._behind:
            return  # reading the log will give it
        self._size += published.size
        if len(self._waiting) >= MOST_MESSAGES or self._size > MOST_BYTES:
            self.fall_behind()
        else:
            self._waiting.append(published)
            self._wake.set()

    def fall_behind(self) -> None:
        """Read the log again: something may have been missed."""
        self._behind = True
        self._waiting.clear()
        self._size = 0
        self._wake.set()

    def idle(self, now: float) -> bool:
        """Whether it waits, and saw nothing for so long that somebody should look at the log."""
        return not self._wake.is_set() and not self._behind and now - self._given_at >= self._pace.look * 0.8

    def looked(self, standing: Standing | None) -> None:
        """How the log stands, found while this follower was idle; None: gone."""
        if standing is None or standing.last_id != self._last:
            self.fall_behind()
        else:
            self._standing = standing
            self._wake.set()

    async def batches(self) -> AsyncGenerator[Batch, None]:
        """Until the end. Raises LogMissing; Unavailable when the log cannot be read, at first or for long."""
        batch = await self._read()
        while True:
            self._given_at = _now()
            yield batch
            if batch.events and is_terminal(batch.events[-1].encoded):
                return
            batch = await self._next()

    async def _next(self) -> Batch:
        while True:
            if self._behind:
                return await self._read_patiently()
            await self._wake.wait()
            self._wake.clear()
            standing, self._standing = self._standing, None
            events = self._taken()
            if events:
                return Batch(events)
            if standing is not None and not self._behind:
                return Batch(stalled=self._stalled(standing))

    def _taken(self) -> tuple[LogEvent, ...]:
        """What waits, as far as it follows on what was given. Whatever is odd makes the log be read."""
        events: tuple[LogEvent, ...] = ()
        self._size = 0
        while self._waiting:
            one = self._waiting.popleft()
            if one.first == self._seq + 1 and one.epoch >= self._epoch:
                events += one.events
                self._stand_at(one.events[-1])
            elif one.last > self._seq or one.epoch > self._epoch:  # else the log gave it already
                self.fall_behind()
        return events

    def _stand_at(self, event: LogEvent) -> None:
        if event.id is not None:
            self._last = event.id
            self._epoch, self._seq = (int(part) for part in event.id.split("-"))

    async def _read_patiently(self) -> Batch:
        while True:
            try:
                return await self._read()
            except Unavailable:
                now = _now()
                self._unreadable_since = self._unreadable_since or now
                if now - self._unreadable_since > self._pace.unreadable:
                    raise
            await asyncio.sleep(PAUSE)
            if _now() - self._given_at >= self._pace.look * 0.8:
                return Batch()

    async def _read(self) -> Batch:
        """A page of the log. What is published meanwhile waits."""
        self._behind = False
        before: tuple[LogEvent, ...] = ()
        try:
            found = await self._look()
            if not found.held:
                before = (LogEvent(None, encode(Restarted(attempt=max(1, found.standing.attempt), reason="log_lost"))),)
                self._last, self._epoch, self._seq = None, 0, -1
                found = await self._look()
        except BaseException:
            self.fall_behind()
            raise
        self._unreadable_since = None
        if found.events:
            self._stand_at(found.events[-1])
        elif self._seq < 0 and self._last is not None:
            self._stand_at(LogEvent(self._last, b""))
        if found.more:
            self.fall_behind()
        return Batch((*before, *found.events), stalled=self._stalled(found.standing))

    async def _look(self) -> Look:
        return await look(self._connection, self._generation_id, self._last)

    def _stalled(self, standing: Standing) -> bool:
        return standing.state != "closed" and standing.unleased > self._pace.stalled


def _now() -> float:
    return asyncio.get_running_loop().time()
