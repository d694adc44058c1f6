"""Who waits for each pool, as this edge last saw it. One look per pool and second, however many ask."""

import asyncio
import time
from collections.abc import Iterable
from types import TracebackType
from typing import Self

import structlog

from api.places import Seen, seen_as
from contracts.commands import Question
from contracts.errors import OllamaNetError, Unavailable
from contracts.ports.lines import GenerationWaiting

log = structlog.get_logger()

EVERY = 1.0
"""Seconds between two looks at a pool."""
YOUNG = 0.95 * EVERY
"""Seconds: timers may be a millisecond early."""
BELIEVED = 3.0
"""Seconds for which a look tells whether a new question would wait too long; without one so young nobody is refused for it."""
KEPT = 10_000
"""Waiting questions whose model this edge knows; of the others it assumes what those it knows need."""
PRECISE_MS = 3 * EVERY * 1000
"""From this usual time on, looks tell well enough when a generation began: half a second more or less."""
OVERDUE = 0.1
"""What is left of the usual time, as a part of it, where it is over already."""
POOLS = 64
"""Pools whose lines are kept; there are as many as back-ends are configured for."""


class Lines:
    """One edge's view of all lines. Leaving the context ends its looks."""

    def __init__(self, streams: GenerationWaiting) -> None:
        self._streams = streams
        self._seen: dict[str, Seen] = {}
        self._looking: dict[str, asyncio.Task[Seen]] = {}
        self._later: dict[str, asyncio.TimerHandle] = {}
        self._models: dict[str, str] = {}
        self._left: dict[str, float] = {}

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for handle in self._later.values():
            handle.cancel()
        looking = list(self._looking.values())
        for task in looking:
            task.cancel()
        await asyncio.gather(*looking, return_exceptions=True)

    def known(self, pool: str) -> Seen | None:
        """The last look, unless it is older than 3 s. Costs nothing."""
        seen = self._seen.get(pool)
        return seen if seen is not None and seen.age < BELIEVED else None

    async def look(self, pool: str) -> Seen:
        """The line, at most a second old. Raises Unavailable."""
        seen = self._seen.get(pool)
        if seen is not None and seen.age < YOUNG:
            return seen
        return await asyncio.shield(self._look(pool))

    async def tried(self, pool: str) -> Seen | None:
        """As `look`; None where nobody can tell now."""
        try:
            return await self.look(pool)
        except Unavailable:
            return None

    async def first_end_ms(self, pool: str, generation_ids: Iterable[str]) -> int | None:
        """Until the first of these probably ends; None where nobody can tell. Who does not wait in that pool runs."""
        seen = await self.tried(pool)
        if seen is None or seen.usual_ms is None or not seen.tells:
            return None
        places = {one: seen.places.get(one) for one in generation_ids}
        running = [one for one, place in places.items() if place is None]
        waiting = [place.ms for place in places.values() if place is not None]
        ends = [self._rest_ms(one, seen.usual_ms, len(running)) for one in running]
        ends += [min(waiting) + seen.usual_ms] if waiting else []
        return round(min(ends, default=seen.usual_ms))

    def _rest_ms(self, generation_id: str, usual_ms: float, running: int) -> float:
        """Of one that runs: what is left of the usual time, where looks tell when it began; else as if each were anywhere on its way."""
        left = self._left.get(generation_id)
        if left is None or usual_ms < PRECISE_MS:
            return usual_ms / (running + 1)
        return max(usual_ms - (time.monotonic() - left) * 1000, usual_ms * OVERDUE)

    def note(self, question: Question) -> None:
        """Which model it waits for."""
        self._models[question.generation_id] = question.model
        if len(self._models) > KEPT:
            del self._models[next(iter(self._models))]

    def expect(self, pool: str) -> None:
        """A question was put into that line: it is looked at within a second, in the background, so that the next ones can be told."""
        if pool in self._later or pool in self._looking or len(self._later) >= POOLS:
            return
        self._later[pool] = asyncio.get_running_loop().call_later(EVERY, self._look_later, pool)

    def _look_later(self, pool: str) -> None:
        self._later.pop(pool, None)
        seen = self._seen.get(pool)
        if seen is None or seen.age >= YOUNG:
            self._look(pool)

    def _look(self, pool: str) -> asyncio.Task[Seen]:
        task = self._looking.get(pool)
        if task is None:
            task = self._looking[pool] = asyncio.create_task(self._read(pool), name=f"line of {pool}")
            task.add_done_callback(lambda done: self._looked(pool, done))
        return task

    def _looked(self, pool: str, task: asyncio.Task[Seen]) -> None:
        self._looking.pop(pool, None)
        if task.cancelled() or (error := task.exception()) is None:
            return
        if isinstance(error, OllamaNetError):
            log.debug("line_not_read", pool=pool, why=str(error))
        else:
            log.error("line_not_read", pool=pool, exc_info=error)

    async def _read(self, pool: str) -> Seen:
        seen = seen_as(await self._streams.line(pool), self._models)
        before = self._seen.pop(pool, None)
        self._seen[pool] = seen
        if len(self._seen) > POOLS:
            del self._seen[next(iter(self._seen))]
        if before is not None:
            self._left |= dict.fromkeys(before.places.keys() - seen.places.keys(), (before.at + seen.at) / 2)
            for old in list(self._left)[: max(0, len(self._left) - KEPT)]:
                del self._left[old]
        return seen
