"""The back-ends of a pool as this worker knows them: which there are, what they have, and how they do."""

import asyncio
import math
import time
from collections import Counter
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass, field

import structlog

from contracts.errors import BackendFailed, Unavailable
from contracts.ports.backend import Backend, BackendRoster
from workers.inference import metrics
from workers.inference.circuit import State
from workers.inference.health import Health
from workers.inference.traffic import Traffic

log = structlog.get_logger()

FRESH = 30.0
"""Seconds that a list of models is believed before it is asked for again, in the background."""
LOOK = 5.0
"""Seconds between two looks at a back-end of a pool that is in use."""
LOOK_AGAIN = 1.0
"""The same where nobody listened: somebody may wait for it, and to be refused costs nothing."""
USED_FOR = 60.0
"""Seconds that a pool counts as in use after somebody has wanted a slot."""
SEARCHES = 1.0
"""Seconds between two searches for a model that nobody lists."""
RAN = 200
"""Models that are remembered of each back-end as running there."""

Changed = Callable[["Place", str | None, State], None]
"""A circuit changed: of that model there, or (None) of the place."""


@dataclass(eq=False)
class Place:
    """One back-end and its slots. `free` may be below 0 for a while, where slots were taken away.

    models: None: not asked yet, or (`silent`) it does not tell, so it may have any; `refused`: nobody listens there.
    loaded: what it told to have in memory. `asked_at`, `told_at`: when it was looked at last, and when it answered.
    """

    backend: Backend
    health: Health
    free: int
    models: frozenset[str] | None = None
    loaded: frozenset[str] = frozenset()
    asked_at: float = -math.inf
    told_at: float = -math.inf
    silent: bool = False
    refused: bool = False
    gone: bool = False
    running: Counter[str] = field(default_factory=Counter[str])
    traffic: Traffic = field(default_factory=Traffic)
    looking: asyncio.Task[None] | None = None
    _ran: dict[str, float] = field(default_factory=dict[str, float])

    @property
    def name(self) -> str:
        return self.backend.settings.name

    @property
    def load(self) -> float:
        """The share of its slots that is taken; more than 1 where slots were taken away."""
        return 1 - self.free / self.backend.settings.slots

    def has_loaded(self, model: str) -> bool:
        """Whether asking it does not make anybody wait for the model to be loaded.

        What was run there since it last told counts. Servers of OpenAI's protocol do not tell: they serve what they have loaded.
        """
        if self.backend.settings.kind == "openai":
            return True
        name = plain(model)
        return name in self.loaded or self._ran.get(name, -math.inf) > self.told_at

    def ran(self, model: str) -> None:
        """The model has answered there."""
        self._ran.pop(name := plain(model), None)
        self._ran[name] = time.monotonic()
        if len(self._ran) > RAN:
            del self._ran[next(iter(self._ran))]

    def replace(self, backend: Backend) -> bool:
        """Whether it is the same server, with other settings; then it stays, with what is known of it."""
        before, now = self.backend.settings, backend.settings
        if (before.kind, before.url) != (now.kind, now.url):
            return False
        self.backend = backend
        self.asked_at = -math.inf  # as of a new one: its adapter has everything to learn again
        self.free += now.slots - before.slots
        return True


class Places:
    """Those of one pool, as the roster has them. `changed`: told of each change of a circuit."""

    def __init__(self, roster: BackendRoster, pool: str, changed: Changed) -> None:
        self._roster = roster
        self._pool = pool
        self._changed = changed
        self._seen: Mapping[str, Backend] | None = None
        self._used_at = -math.inf
        self._wanted_since = self._searched_for = self._searched_at = -math.inf
        self._searching: asyncio.Task[None] | None = None
        self.all: list[Place] = []
        self.leaving: list[Place] = []
        """Those that are gone, as long as something runs there."""
        self.follow()

    @property
    def slots(self) -> int:
        """Generations that this worker runs at once."""
        return sum(one.backend.settings.slots for one in self.all)

    def follow(self) -> bool:
        """Learn which back-ends there are now; whether that has changed."""
        if (now := self._roster.backends) is self._seen:
            return False
        self._seen = now
        own = {name: one for name, one in now.items() if one.settings.pool == self._pool}
        kept = [
            one for one in self.all if one.name in own and (one.backend is own[one.name] or one.replace(own[one.name]))
        ]
        for one in self.all:
            if one not in kept:
                self._leave(one)
        known = {one.name for one in kept}
        self.all = [*kept, *(self._place(one) for name, one in own.items() if name not in known)]
        return True

    def serving(self, model: str) -> list[Place]:
        """Those that list it; where none does, those that do not tell."""
        name = plain(model)
        listed = [one for one in self.all if one.models is not None and name in one.models]
        return listed or [one for one in self.all if one.silent]

    def use(self) -> None:
        """Somebody wants a slot: what there is, is looked at if that was long ago."""
        self._used_at = time.monotonic()
        for one in self.all:
            if self._used_at - one.asked_at > FRESH:
                self._begin(one)

    def look_where_due(self) -> None:
        """Begin to look at those whose time it is."""
        now = time.monotonic()
        in_use = now - self._used_at < USED_FOR
        for one in self.all:
            away = one.refused or one.health.server.state != "closed"
            pause = LOOK_AGAIN if away and in_use else LOOK if away or in_use else math.inf
            if now - one.asked_at >= pause or one.asked_at == -math.inf:
                self._begin(one)

    async def known(self, model: str) -> None:
        """Wait until somebody is found who has it, or everybody has been asked once."""
        while not self.serving(model):
            first = [self._begin(one) for one in self.all if one.models is None and not one.silent]
            if not first:
                return
            await asyncio.wait(first, return_when=asyncio.FIRST_COMPLETED)

    async def search(self, since: float) -> None:
        """Have the registry read and everybody asked, later than at that moment (`time.monotonic`); those who wait share one search."""
        self._wanted_since = max(self._wanted_since, since)
        while self._searched_for < since:
            if self._searching is None or self._searching.done():
                self._searching = asyncio.create_task(self._search(), name="searching")
            await asyncio.shield(self._searching)

    async def end(self) -> None:
        """Stop looking."""
        tasks = [one for one in (self._searching, *(place.looking for place in self.all)) if one is not None]
        for one in tasks:
            one.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _search(self) -> None:
        await asyncio.sleep(max(0.0, self._searched_at + SEARCHES - time.monotonic()))
        self._searched_at, since = time.monotonic(), self._wanted_since
        try:
            await self._roster.refresh()
        except Unavailable as error:
            log.warning("registry_not_read", why=str(error))
        self.follow()
        await asyncio.gather(*(self._asked(one, since) for one in self.all))
        self._searched_for = since

    async def _asked(self, place: Place, since: float) -> None:
        while place.asked_at < since and not place.gone:
            await asyncio.wait({self._begin(place)})

    def _place(self, backend: Backend) -> Place:
        health = Health(lambda model, state: self._changed(place, model, state))
        place = Place(backend, health, backend.settings.slots)
        log.info("backend_joins", backend=place.name, slots=place.free)
        return place

    def _leave(self, place: Place) -> None:
        place.gone = True
        log.info("backend_leaves", backend=place.name, running=place.running.total())
        if place.looking is not None:
            place.looking.cancel()
        if place.running.total():
            self.leaving.append(place)
        metrics.forget(place.name)

    def _begin(self, place: Place) -> asyncio.Task[None]:
        if place.looking is None or place.looking.done():
            place.looking = asyncio.create_task(_quietly(self._look(place)), name=f"looking at {place.name}")
        return place.looking

    async def _look(self, place: Place) -> None:
        place.asked_at = time.monotonic()
        try:
            models = await place.backend.models()
            loaded = await place.backend.loaded()
        except BackendFailed as error:
            if not place.silent:  # a line an outage
                log.warning("models_not_listed", backend=place.name, why=str(error))
            place.models, place.silent, place.refused = None, True, error.code == "backend_unreachable"
            metrics.LISTED.labels(place.name).set(0)
            return
        place.told_at = place.asked_at
        place.models, place.silent, place.refused = frozenset(plain(one.name) for one in models), False, False
        place.loaded = frozenset(plain(one.name) for one in loaded)
        place.health.lists = place.models
        place.health.reachable()
        metrics.LISTED.labels(place.name).set(len(models))


async def _quietly(work: Coroutine[None, None, None]) -> None:
    """Nobody waits for it to fail: an error of ours is told in the log."""
    try:
        await work
    except Exception:
        log.exception("not_looked_at")


def plain(model: str) -> str:
    """The name that a model is known by: `x:latest` is `x`."""
    return model.removesuffix(":latest")
