"""Which back-end runs the next generation, one that serves its model and has a free slot; and which generation is next."""

import asyncio
import time
from bisect import insort
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

import structlog

from contracts.commands import Lane
from contracts.errors import BackendFailed, UnknownModel
from contracts.ports.backend import Backend, BackendRoster
from workers.inference.affinity import Wish, best, usable
from workers.inference.circuit import State
from workers.inference.health import Attempt
from workers.inference.places import Place, Places

log = structlog.get_logger()

TICK = 0.25
"""Seconds between two looks at what time has changed: back-ends that came or went, circuits that may be tried."""
AWAY = 30.0
"""Seconds that somebody waits while nobody listens at any back-end with the model; then the catalog has told everybody, too."""
HANDICAP: Mapping[Lane, float] = {"interactive": 0.0, "bulk": 2.0, "batch": 10.0}
"""Seconds that a generation of that lane waits longer than an interactive one before it is its turn like that one's."""


@dataclass(eq=False)
class Slot:
    """A right to make calls for one generation on `backend`; it is told how they go. Leaving the context frees it."""

    slots: "Slots"
    place: Place
    model: str
    backend: Backend
    _attempt: Attempt
    _held: bool = True

    @property
    def name(self) -> str:
        """The back-end's name."""
        return self.backend.settings.name

    def answered(self, seconds: float) -> None:
        """The first token came after that time."""
        self._attempt.answered()
        self.place.traffic.first_token(seconds)
        self.place.ran(self.model)
        self.slots.settle()

    def ended(self) -> None:
        """The call went well."""
        self._attempt.ended()
        self.place.traffic.ended(failed=False)
        self.place.ran(self.model)

    def failed(self, error: BackendFailed) -> None:
        """The call failed."""
        self._attempt.failed(error)
        self.place.traffic.ended(failed=error.retryable)

    def free(self) -> None:
        """Give it back; harmless when done twice."""
        if self._held:
            self._held = False
            self._attempt.let_go()
            self.slots.give_back(self)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.free()


@dataclass(eq=False)
class _Waiting:
    """Somebody who waits for a slot; None is granted when nobody serves the model any more. `away`: for how many seconds in all
    every back-end with the model was left alone, as of `noted_at`; `patience`: how many that may be."""

    rank: float
    wish: Wish
    patience: float
    granted: asyncio.Future[Slot | None]
    away: float = 0.0
    noted_at: float = field(default_factory=time.monotonic)


def _nobody(_: Place, __: str | None, ___: State) -> None:
    """Nobody is told."""


@dataclass(eq=False)
class Slots:
    """The slots of a pool's back-ends, in this process. No more wait than deliveries are in its hands.

    While inside, it follows the roster and looks at the back-ends. `changed`: told when a circuit changes; `used`: set when a model
    begins or ends to run somewhere.
    """

    roster: BackendRoster
    pool: str
    used: asyncio.Event = field(default_factory=asyncio.Event)
    places: Places = field(init=False)
    _waiting: list[_Waiting] = field(default_factory=list[_Waiting])
    _ticking: asyncio.Task[None] | None = None

    def __post_init__(self) -> None:
        self.changed = _nobody
        self.places = Places(self.roster, self.pool, lambda place, model, state: self.changed(place, model, state))

    async def __aenter__(self) -> Self:
        self._ticking = asyncio.create_task(self._tick_on(), name="slots")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._ticking is not None:
            self._ticking.cancel()
            await asyncio.gather(self._ticking, return_exceptions=True)
        await self.places.end()

    async def know_models(self) -> None:
        """Wait until every back-end has been asked once what it has."""
        self.places.follow()
        await self.places.known("")  # nobody's name

    @property
    def number(self) -> int:
        """Generations that this worker runs at once."""
        return self.places.slots

    async def take(
        self,
        wish: Wish,
        *,
        lane: Lane = "interactive",
        since: float | None = None,
        patience: float | None = None,
    ) -> Slot:
        """Wait for a free slot of a back-end that serves the model. Raises UnknownModel when none does, and BackendFailed
        (backend_unreachable) when all that do have been away for `patience` seconds (None: 30).

        since: when it began to wait (`time.monotonic`; None: now). Who has waited longest, less the handicap of its lane, is next.
        """
        rank = (time.monotonic() if since is None else since) + HANDICAP[lane]
        while True:
            places = await self._serving(wish.model)
            self.settle()  # what came meanwhile is for those who wait already; what is free then, nobody waits for
            if (place := best(places, wish)) is not None:
                return self._grant(place, wish.model)
            granted = asyncio.get_running_loop().create_future()
            waiting = _Waiting(rank, wish, AWAY if patience is None else patience, granted)
            insort(self._waiting, waiting, key=lambda one: one.rank)  # behind its equals
            self._note_away(waiting, places)
            try:
                slot = await granted
            except asyncio.CancelledError:
                self._gave_up(waiting)
                raise
            if slot is not None:
                return slot

    def give_back(self, slot: Slot) -> None:
        """Free one slot: it is at once that of the first who waits for such a one."""
        place = slot.place
        place.free += 1
        place.running[slot.model] -= 1
        if place.running[slot.model] == 0:
            del place.running[slot.model]
            self.used.set()
        if place.gone and not place.running and place in self.places.leaving:
            self.places.leaving.remove(place)
        self.settle()

    def settle(self) -> None:
        """Give what is free to those who wait, the first first; who waits for nobody looks again."""
        for one in list(self._waiting):
            if one.granted.done():
                continue
            places = self.places.serving(one.wish.model)
            place = best(places, one.wish)
            if places and place is None:
                self._note_away(one, places)
            else:
                self._waiting.remove(one)
                one.granted.set_result(None if place is None else self._grant(place, one.wish.model))

    def idle(self, name: str) -> bool:
        """Whether that back-end has a free slot here that nobody waits for, and answers."""
        return any(one.free > 0 and not one.health.server.blocked for one in self.places.all if one.name == name)

    def elsewhere(self, wish: Wish) -> bool:
        """Whether a back-end serves the model that has not failed this call, and may be asked."""
        places = usable(self.places.serving(wish.model), wish.model)
        return any(one.name not in wish.failed for one in places)

    def _grant(self, place: Place, model: str) -> Slot:
        place.free -= 1
        place.running[model] += 1
        if place.running[model] == 1:
            self.used.set()
        return Slot(self, place, model, place.backend, place.health.begin(model))

    def _gave_up(self, waiting: _Waiting) -> None:
        """Who was granted a slot in the very moment of giving up passes it on."""
        if waiting in self._waiting:
            self._waiting.remove(waiting)
        elif not waiting.granted.cancelled() and waiting.granted.exception() is None:
            slot = waiting.granted.result()
            if slot is not None:
                slot.free()

    def _note_away(self, waiting: _Waiting, places: Sequence[Place]) -> None:
        """Nobody waits for ever where nobody listens; while somebody tries one of them, there is hope."""
        now = time.monotonic()
        passed, waiting.noted_at = now - waiting.noted_at, now
        if usable(places, waiting.wish.model):
            waiting.away = 0.0
        elif all(one.health.server.state == "open" for one in places):
            waiting.away += passed
            if waiting.away >= waiting.patience:
                self._waiting.remove(waiting)
                names = ", ".join(one.name for one in places)
                sentence = f"No server with this model could be reached ({names})."
                waiting.granted.set_exception(BackendFailed("backend_unreachable", sentence))

    async def _tick_on(self) -> None:
        while True:
            self.places.follow()
            self.places.look_where_due()
            self.settle()
            await asyncio.sleep(TICK)

    async def _serving(self, model: str) -> list[Place]:
        """Raises UnknownModel where nobody has it, the registry read again and everybody asked."""
        began = time.monotonic()
        self.places.follow()
        await self.places.known(model)
        if not self.places.serving(model):
            await self.places.search(began)
        self.places.use()
        found = self.places.serving(model)
        if not found:
            raise UnknownModel(model)
        return found
