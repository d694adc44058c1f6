"""`queued` frames: where a question stands in its line, told to its followers until a worker takes it.

Made here, once a second, from the line that all followers of this edge share; without an id and never in the log. Who is answered
at once sees none: the first look comes after a third of a second.
"""

import asyncio
from collections.abc import AsyncGenerator, Generator, Mapping
from contextlib import asynccontextmanager, contextmanager
from types import TracebackType
from typing import Self

import structlog

from api.explore import Explore, pools_for
from api.lines import EVERY, Lines
from api.places import Seen
from contracts.commands import Question
from contracts.errors import OllamaNetError
from contracts.generation import Queued, encode, name_of
from contracts.ports.streams import LogEvent
from contracts.records import Model

log = structlog.get_logger()

FIRST = 0.3
"""Seconds that a question waits before anybody looks where: an idle worker takes it within 5 ms."""

Events = tuple[LogEvent, ...]
Batches = AsyncGenerator[Events, None]


class Waiter:
    """One follower of a question that nobody has taken yet."""

    def __init__(self, question: Question) -> None:
        self.question = question
        self.pool: str | None = None
        """Where it was found waiting."""
        self._queued: Queued | None = None
        self._moved = asyncio.get_running_loop().create_future()

    def stands(self, queued: Queued) -> None:
        """It waits there now."""
        if queued != self._queued:
            self._queued = queued
            if not self._moved.done():
                self._moved.set_result(None)

    async def moves_before(self, coming: asyncio.Task[Events]) -> bool:
        """Whether its place changed; false as soon as `coming` is done."""
        await asyncio.wait((coming, self._moved), return_when=asyncio.FIRST_COMPLETED)
        return not coming.done()

    def told(self) -> Events:
        """Its place as a frame; the next change counts anew."""
        assert self._queued is not None
        self._moved = asyncio.get_running_loop().create_future()
        return (LogEvent(None, encode(self._queued)),)


class Waiting:
    """All of this edge. Inside the context one task looks, while somebody waits."""

    def __init__(self, lines: Lines, explore: Explore) -> None:
        self._lines = lines
        self._explore = explore
        self._waiters: set[Waiter] = set()
        self._looking: asyncio.Task[None] | None = None

    def __len__(self) -> int:
        return len(self._waiters)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._waiters.clear()
        if self._looking is not None:
            self._looking.cancel()
            await asyncio.gather(self._looking, return_exceptions=True)

    async def told(self, question: Question, batches: Batches, *, waits: bool) -> Batches:
        """These batches, with `queued` between `accepted` and what comes next, whenever the place changes.

        `waits`: its follower has seen `accepted` already, and nothing else.
        """
        if not waits:
            events = await _next(batches)
            if events:
                yield events
            waits = _only_accepted(events)
        while waits:
            async with _coming(batches) as coming:
                with self._waiter(question) as waiter:
                    while await waiter.moves_before(coming):
                        yield waiter.told()
                events = await coming
            if events:
                yield events
            waits = _only_accepted(events)
        async for events in batches:
            yield events

    @contextmanager
    def _waiter(self, question: Question) -> Generator[Waiter, None, None]:
        waiter = Waiter(question)
        begins = asyncio.get_running_loop().call_later(FIRST, self._add, waiter)
        try:
            yield waiter
        finally:
            begins.cancel()
            self._waiters.discard(waiter)

    def _add(self, waiter: Waiter) -> None:
        self._waiters.add(waiter)
        self._lines.note(waiter.question)
        if self._looking is None or self._looking.done():
            self._looking = asyncio.create_task(self._look(), name="places in lines")

    async def _look(self) -> None:
        while self._waiters:
            try:
                await self._look_once()
            except OllamaNetError as error:  # nobody is told anything for a second
                log.debug("places_not_read", why=str(error))
            except Exception as error:
                log.error("places_not_read", exc_info=error)
            await asyncio.sleep(EVERY)

    async def _look_once(self) -> None:
        models = await self._explore.models()
        seen: dict[str, Seen | None] = {}
        for waiter in list(self._waiters):
            for pool in _pools(waiter, models):
                if pool not in seen:
                    seen[pool] = await self._lines.tried(pool)
                line = seen[pool]
                queued = None if line is None else line.queued(waiter.question.generation_id)
                if queued is not None:
                    waiter.pool = pool
                    waiter.stands(queued)
                    break


def _pools(waiter: Waiter, models: Mapping[str, Model]) -> tuple[str, ...]:
    """Where it may wait: the edge that accepted it is not always the one that is asked."""
    return (waiter.pool,) if waiter.pool else pools_for(models, waiter.question.model)


def _only_accepted(events: Events) -> bool:
    return bool(events) and name_of(events[-1].encoded) == "accepted"


async def _next(batches: Batches) -> Events:
    """What comes next; empty at the end."""
    try:
        return await anext(batches)  # with a default CPython 3.11 raises SystemError at the end of one that waited
    except StopAsyncIteration:
        return ()


@asynccontextmanager
async def _coming(batches: Batches) -> AsyncGenerator[asyncio.Task[Events], None]:
    """What comes next, as a task that ends with the context."""
    task = asyncio.create_task(_next(batches))
    try:
        yield task
    finally:
        if not task.done():
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
