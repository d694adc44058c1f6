"""Who waits for each pool, as this edge last saw it. One look per pool and second, however many ask.

Places count from 1 across the lanes in the order in which they are served, ageing ignored: who waits in `bulk` or `batch` for long
may come sooner than told. A place's time is the sum of what those up to it hold a slot for, divided by the slots.
"""

import asyncio
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import NamedTuple, Self

import structlog

from contracts.commands import LANES, Lane, Question
from contracts.errors import OllamaNetError, Unavailable
from contracts.generation import Queued
from contracts.ports.streams import GenerationWaiting, Line

log = structlog.get_logger()

EVERY = 1.0
"""Seconds between two looks at a pool."""
YOUNG = 0.95 * EVERY
"""Seconds: timers may be a millisecond early."""
BELIEVED = 3.0
"""Seconds for which a look tells whether a new question would wait too long; without one so young nobody is refused for it."""
KEPT = 10_000
"""Waiting questions whose model this edge knows; of the others it assumes what those it knows need."""
POOLS = 64
"""Pools whose lines are kept; there are as many as back-ends are configured for."""


class Place(NamedTuple):
    """Where a generation waits. `busy_ms`: what those up to it, itself included, will hold a slot for, one after the other.

    A tuple, for up to 3,000 are made a second.
    """

    lane: Lane
    position: int
    busy_ms: float


@dataclass(frozen=True)
class Seen:
    """A line as it stood. `busy_ms`: what all up to the end of a lane will hold a slot for. `usual_ms`: what one of them holds it,
    None where nobody can tell."""

    places: Mapping[str, Place]
    busy_ms: Mapping[Lane, float]
    usual_ms: float | None
    slots: int
    at: float

    @property
    def age(self) -> float:
        """Seconds since the look."""
        return time.monotonic() - self.at

    def queued(self, generation_id: str) -> Queued | None:
        """What its followers are told; None where it does not wait here."""
        place = self.places.get(generation_id)
        return None if place is None else Queued(position=place.position, eta_ms=self._divided(place.busy_ms))

    def end_ms(self, lane: Lane) -> int | None:
        """Until the last of that lane gets a slot; None where nobody can tell."""
        return self._divided(self.busy_ms[lane])

    def first_end_ms(self, generation_ids: Iterable[str]) -> int | None:
        """Until the first of these ends, in the mean; None where nobody can tell. Who does not wait here runs."""
        if self.usual_ms is None or not self.slots:
            return None
        places = [self.places.get(one) for one in generation_ids]
        running = places.count(None)
        first = min((place.busy_ms for place in places if place is not None), default=None)
        ends = [self.usual_ms / (running + 1)] if running else []  # of that many at any point of their way
        ends += [] if first is None else [first / self.slots + self.usual_ms]
        return round(min(ends, default=self.usual_ms))

    def _divided(self, busy_ms: float) -> int | None:
        return round(busy_ms / self.slots) if self.slots and self.usual_ms is not None else None


class Lines:
    """One edge's view of all lines. Leaving the context ends its looks."""

    def __init__(self, streams: GenerationWaiting) -> None:
        self._streams = streams
        self._seen: dict[str, Seen] = {}
        self._looking: dict[str, asyncio.Task[Seen]] = {}
        self._later: dict[str, asyncio.TimerHandle] = {}
        self._models: dict[str, str] = {}

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
        self._seen.pop(pool, None)
        self._seen[pool] = seen
        if len(self._seen) > POOLS:
            del self._seen[next(iter(self._seen))]
        return seen


def seen_as(line: Line, models: Mapping[str, str]) -> Seen:
    """The line with everybody's place. `models`: of the waiting ones, where known."""
    usual = _usual(line, models)
    places: dict[str, Place] = {}
    busy: dict[Lane, float] = {}
    ahead = 0.0
    for lane in LANES:
        for generation_id in line.waiting.get(lane, ()):
            ahead += line.service_ms.get(models.get(generation_id, ""), usual or 0.0)
            places[generation_id] = Place(lane, len(places) + 1, ahead)
        busy[lane] = ahead
    return Seen(places, busy, usual, line.slots, time.monotonic())


def _usual(line: Line, models: Mapping[str, str]) -> float | None:
    """What a generation needs whose own model's mean is not known: the mean of those that wait here, else of the pool."""
    waiting = (models.get(one, "") for lane in line.waiting.values() for one in lane)
    means = [line.service_ms[model] for model in waiting if model in line.service_ms] or list(line.service_ms.values())
    return sum(means) / len(means) if means else None
