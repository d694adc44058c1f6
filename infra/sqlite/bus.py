"""`Bus` over a table in SQLite: accepted questions survive a hard stop of a laptop too.

One process owns the file; what it had taken when it died is delivered again, marked as redelivered, at the next start.
Events of exclusive queues are for this process alone and live in memory.
"""

import asyncio
import re
import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from contracts.envelope import Envelope, Message, wrap
from contracts.errors import Unroutable
from contracts.ports.bus import Bus, DeadSubscription, Subscription
from contracts.topology import DEAD, EVENTS_PUBLIC, Queue, durable_queues, must_be_owned, route
from infra.sqlite import messages
from infra.sqlite.consuming import Consumer, Taken
from infra.sqlite.database import SqliteDatabase

LOOK = 1.0
"""Seconds between two looks at what expired in queues that nobody consumes."""


class SqliteBus(Bus):
    """The bus of one process. `source`: who publishes, for CloudEvents; `pools`: whose queues exist."""

    def __init__(self, path: Path, *, source: str, pools: tuple[str, ...] = ("default",)) -> None:
        self._database = SqliteDatabase(path)
        self._source = source
        self._queues = {queue.name: queue for queue in durable_queues(pools)}
        self._arrived: dict[str, asyncio.Event] = {}
        self._exclusive: dict[str, tuple[Queue, asyncio.Queue[Taken]]] = {}

    async def __aenter__(self) -> Self:
        await self._database.__aenter__()
        await self._free(*self._queues)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._database.__aexit__(kind, error, trace)

    async def add_pool(self, pool: str) -> None:
        """The pool's queues exist from now on, with what was left in them."""
        fresh = {queue.name: queue for queue in durable_queues((pool,)) if queue.name not in self._queues}
        await self._free(*fresh)
        self._queues |= fresh

    async def publish(self, message: Message, *, expires_in: float | None = None) -> None:
        envelope, body = wrap(message, self._source), message.model_dump_json().encode()
        binding = route(message)
        targets = [queue for queue in self._queues.values() if _bound(queue, binding.exchange.name, binding.key)]
        if not targets and must_be_owned(message):
            raise Unroutable(f"No queue takes {message.type} under {binding.key!r}: no worker ever served it here.")
        expires_at = int((time.time() + expires_in) * 1000) if expires_in is not None else None
        if targets:
            await self._database.write(lambda connection: messages.put(connection, targets, envelope, body, expires_at))
        if binding.exchange == EVENTS_PUBLIC:
            self._tell_exclusive(binding.key, envelope, body)
        for queue in targets:
            self._arrival(queue.name).set()

    def _tell_exclusive(self, key: str, envelope: Envelope, body: bytes) -> None:
        for declared, queue in self._exclusive.values():
            if not _bound(declared, EVENTS_PUBLIC.name, key):
                continue
            if queue.full():
                queue.get_nowait()  # drop-head, as the broker does for them
            queue.put_nowait(Taken(0, envelope, body, redelivered=False))

    def _arrival(self, queue: str) -> asyncio.Event:
        return self._arrived.setdefault(queue, asyncio.Event())

    @asynccontextmanager
    async def consume(
        self, subscriptions: Sequence[Subscription | DeadSubscription], *, drain: float = 20.0
    ) -> AsyncGenerator[None, None]:
        consumers = [Consumer(one, self) for one in subscriptions]
        for one in subscriptions:
            if one.queue.exclusive:
                self._exclusive[one.queue.name] = (one.queue, asyncio.Queue(one.queue.max_length))
        intake = [asyncio.create_task(one.run(), name=f"bus {one.queue}") for one in consumers]
        try:
            yield
        finally:
            for task in intake:
                task.cancel()
            await asyncio.gather(*intake, return_exceptions=True)
            await asyncio.gather(*(one.drain(drain) for one in consumers))
            for one in subscriptions:
                self._exclusive.pop(one.queue.name, None)
                await self._free(one.queue.name)  # what was taken while the intake was cancelled

    async def _free(self, *queues: str) -> None:
        await self._database.write(lambda connection: messages.free(connection, queues))

    async def check(self) -> None:
        await self._database.check()

    async def take(self, queue: str) -> Taken:
        """The next message of a queue, marked as taken; waits for one. What expired meanwhile, in any queue, dies."""
        if queue in self._exclusive:
            return await self._exclusive[queue][1].get()
        while True:
            arrived = self._arrival(queue)
            arrived.clear()
            expired, taken = await self._database.write(lambda one: (messages.expire(one), messages.take(one, queue)))
            if expired:
                self._arrival(DEAD.name).set()
            if taken is not None:
                arrived.set()  # another consumer of this queue may have waited for the next one, whose arrival was cleared here
                return taken
            with suppress(TimeoutError):
                await asyncio.wait_for(arrived.wait(), LOOK if queue == DEAD.name else None)

    async def done(self, taken: Taken) -> None:
        """It was handled: gone."""
        if taken.place:
            await self._database.write(lambda connection: messages.remove(connection, taken.place))

    async def give_back(self, queue: str, taken: Taken) -> None:
        """Somebody else is to handle it."""
        if taken.place:
            await self._database.write(lambda connection: messages.give_back(connection, taken.place))
            self._arrival(queue).set()

    async def bury(self, queue: str, taken: Taken, why: str) -> None:
        """Move it to the dead letters; one of their own queue is gone."""
        if not self._has_dead_letters(queue):
            await self.done(taken)
        elif taken.place:
            await self._database.write(lambda connection: messages.bury(connection, taken.place, why))
            self._arrival(DEAD.name).set()

    def _has_dead_letters(self, queue: str) -> bool:
        return queue in self._queues and self._queues[queue].dead_letters


def _bound(queue: Queue, exchange: str, key: str) -> bool:
    return any(one.exchange.name == exchange and matches(one.key, key) for one in queue.bindings)


def matches(pattern: str, key: str) -> bool:
    """Whether a topic pattern (`*` one word, `#` any number) takes a routing key."""
    if pattern == "#":
        return True
    words = [r"[^.]+" if one == "*" else r".*" if one == "#" else re.escape(one) for one in pattern.split(".")]
    return re.fullmatch(r"\.".join(words), key) is not None
