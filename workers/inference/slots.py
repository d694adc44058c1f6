"""Which back-end runs the next generation, one that serves its model and has a free slot; and which generation is next."""

import asyncio
import math
import time
from bisect import insort
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Self

import structlog

from contracts.commands import Lane
from contracts.errors import BackendFailed, UnknownModel
from contracts.ports.backend import Backend

log = structlog.get_logger()

FRESH = 30.0
"""Seconds that a list of models is believed before it is asked for again, in the background."""
PATIENCE = 1.0
"""Seconds before a model that nobody listed is looked for again."""
HANDICAP: Mapping[Lane, float] = {"interactive": 0.0, "bulk": 2.0, "batch": 10.0}
"""Seconds that a generation of that lane waits longer than an interactive one before it is its turn like that one's."""


@dataclass(eq=False)
class _Place:
    """One back-end; `models` None: it does not tell (not asked, or it does not answer), so it may have any."""

    backend: Backend
    free: int
    models: frozenset[str] | None = None

    @property
    def load(self) -> float:
        slots = self.backend.settings.slots
        return (slots - self.free) / slots


@dataclass(eq=False)
class Slot:
    """A right to run one generation on `backend`. Leaving the context frees it."""

    slots: "Slots"
    place: _Place
    _held: bool = True

    @property
    def backend(self) -> Backend:
        return self.place.backend

    @property
    def name(self) -> str:
        """The back-end's name."""
        return self.place.backend.settings.name

    def free(self) -> None:
        """Give it back; harmless when done twice."""
        if self._held:
            self._held = False
            self.slots.give_back(self.place)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.free()


@dataclass(eq=False)
class _Waiting:
    """Somebody who waits for a slot of one of these places."""

    rank: float
    places: list[_Place]
    granted: asyncio.Future[Slot]


@dataclass(eq=False)
class Slots:
    """The slots of a pool's back-ends, in this process. No more wait than deliveries are in its hands."""

    backends: Mapping[str, Backend]
    pool: str
    _places: list[_Place] = field(init=False)
    _waiting: list[_Waiting] = field(default_factory=list[_Waiting])
    _asked_at: float = -math.inf
    _asking: asyncio.Task[None] | None = None

    def __post_init__(self) -> None:
        own = [one for one in self.backends.values() if one.settings.pool == self.pool]
        self._places = [_Place(one, one.settings.slots) for one in own]

    async def take(
        self, model: str, *, lane: Lane = "interactive", since: float | None = None, rather_not: str | None = None
    ) -> Slot:
        """Wait for a free slot of a back-end that serves the model. Raises UnknownModel when none does.

        since: when it began to wait (`time.monotonic`; None: now). Who has waited longest, less the handicap of its lane, is next.
        rather_not: the back-end that failed just now; taken only where no other serves the model and is free.
        """
        rank = (time.monotonic() if since is None else since) + HANDICAP[lane]
        places = await self._serving(model)
        if free := [one for one in places if one.free > 0]:  # nobody waits for these, or they would not be free
            return self._grant(min(free, key=lambda one: (one.backend.settings.name == rather_not, one.load)))
        waiting = _Waiting(rank, places, asyncio.get_running_loop().create_future())
        insort(self._waiting, waiting, key=lambda one: one.rank)  # behind its equals
        try:
            return await waiting.granted
        except asyncio.CancelledError:
            self._gave_up(waiting)
            raise

    def give_back(self, place: _Place) -> None:
        """Free one slot: it is at once that of the first who waits for such a one."""
        place.free += 1
        able = (one for one in self._waiting if place in one.places and not one.granted.done())
        if (first := next(able, None)) is not None:
            self._waiting.remove(first)
            first.granted.set_result(self._grant(place))

    def idle(self, name: str) -> bool:
        """Whether that back-end has a free slot here that nobody waits for."""
        return any(one.free > 0 for one in self._places if one.backend.settings.name == name)

    def _grant(self, place: _Place) -> Slot:
        place.free -= 1
        return Slot(self, place)

    def _gave_up(self, waiting: _Waiting) -> None:
        """Who was granted a slot in the very moment of giving up passes it on."""
        if waiting in self._waiting:
            self._waiting.remove(waiting)
        elif not waiting.granted.cancelled():
            waiting.granted.result().free()

    async def end(self) -> None:
        """Stop asking for models."""
        if self._asking is not None:
            self._asking.cancel()
            await asyncio.gather(self._asking, return_exceptions=True)

    async def _serving(self, model: str) -> list[_Place]:
        if len(self._places) == 1:  # nothing to choose: its own answer tells whether it knows the model
            return self._places
        age = time.monotonic() - self._asked_at
        found = self._listing(model)
        if age > FRESH and found:
            self._ask()
        elif age > FRESH or (not found and age > PATIENCE):
            await asyncio.shield(self._ask())
            found = self._listing(model)
        if not found:
            raise UnknownModel(model)
        return found

    def _listing(self, model: str) -> list[_Place]:
        """Those that list it; where none does, those that do not tell."""
        name = model.removesuffix(":latest")
        listed = [one for one in self._places if one.models is not None and name in one.models]
        return listed or [one for one in self._places if one.models is None and self._asked_at > -math.inf]

    def _ask(self) -> asyncio.Task[None]:
        if self._asking is None or self._asking.done():
            self._asking = asyncio.create_task(self._ask_all())
        return self._asking

    async def _ask_all(self) -> None:
        await asyncio.gather(*(_ask_one(one) for one in self._places))
        self._asked_at = time.monotonic()


async def _ask_one(place: _Place) -> None:
    try:
        place.models = frozenset(one.name.removesuffix(":latest") for one in await place.backend.models())
    except BackendFailed as error:
        place.models = None
        log.warning("models_not_listed", backend=place.backend.settings.name, why=str(error))
