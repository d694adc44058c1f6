"""Telling what this worker sees of back-ends: to whoever shows and judges them, and, of circuits, to the catalog at once."""

import asyncio
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime
from types import TracebackType
from typing import Self

import structlog

from contracts.commands import RefreshCatalog
from contracts.errors import OllamaNetError, Unavailable
from contracts.ports.administration import BackendReports
from contracts.ports.bus import Bus
from contracts.records import BackendReport
from workers.inference import metrics
from workers.inference.circuit import State
from workers.inference.places import Place
from workers.inference.slots import Slots

log = structlog.get_logger()

TOGETHER = 0.2
"""Seconds in which several changes are told as one."""
CHANGED, UNCHANGED = 2.0, 5.0
"""Seconds between reports; one counts for 10."""
LAST_WORD = 1.0
"""Seconds for telling that nothing runs here any more; in 10 that is forgotten anyway."""
TELLING = 20
"""Commands to the catalog that may be on their way at once: it looks by itself every few seconds."""


class Reporting:
    """Reports from start to end. Nothing here holds up a generation, and nothing is tried twice: the next report says the same."""

    def __init__(self, reports: BackendReports, bus: Bus, slots: Slots, worker: str) -> None:
        self._reports = reports
        self._bus = bus
        self._slots = slots
        self._worker = worker
        self._said: Sequence[BackendReport] = ()
        self._away = False
        self._telling: set[asyncio.Task[None]] = set()
        self._reporting: asyncio.Task[None] | None = None
        slots.changed = self._circuit_changed

    async def __aenter__(self) -> Self:
        self._reporting = asyncio.create_task(self._report_on(), name="reports")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        tasks = [one for one in (self._reporting, *self._telling) if one is not None]
        for one in tasks:
            one.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        with suppress(TimeoutError):
            async with asyncio.timeout(LAST_WORD):
                await self._report(self._seen())

    def _circuit_changed(self, place: Place, model: str | None, state: State) -> None:
        scope = "backend" if model is None else "model"
        metrics.CIRCUITS.labels(place.name, scope, state).inc()
        log.warning("circuit_changed", backend=place.name, model=model, state=state)
        self._slots.used.set()
        if state != "half-open" and len(self._telling) < TELLING:
            telling = asyncio.create_task(self._tell(place.name), name=f"circuit of {place.name}")
            self._telling.add(telling)
            telling.add_done_callback(self._telling.discard)

    async def _tell(self, backend: str) -> None:
        """Have the catalog look at once; it looks by itself a little later."""
        try:
            await self._bus.publish(RefreshCatalog(backend=backend))
        except OllamaNetError as error:
            log.warning("catalog_not_told", backend=backend, why=str(error))

    async def _report_on(self) -> None:
        since, used = 0.0, self._slots.used
        now = asyncio.get_running_loop().time
        while True:
            seen = self._seen()
            if used.is_set() or now() - since >= UNCHANGED or not _same(seen, self._said):
                used.clear()
                await self._report(seen)
                since = now()
            with suppress(TimeoutError):
                async with asyncio.timeout(CHANGED):
                    await used.wait()
                    await asyncio.sleep(TOGETHER)

    def _seen(self) -> list[BackendReport]:
        """One report for each name: of a server that has another address now, what still runs at the old one counts along."""
        running: dict[str, Counter[str]] = {}
        places: dict[str, Place] = {}
        for one in (*self._slots.places.leaving, *self._slots.places.all):
            running.setdefault(one.name, Counter()).update(one.running)
            places[one.name] = one
        return [self._of(one, running[name]) for name, one in places.items()]

    def _of(self, place: Place, running: Counter[str]) -> BackendReport:
        return BackendReport(
            backend=place.name,
            worker=self._worker,
            pool=self._slots.pool,
            at=datetime.now(UTC),
            slots=0 if place.gone else place.backend.settings.slots,
            circuit=place.health.server.state,
            calls=place.traffic.calls,
            failures=place.traffic.failures,
            ttft_ms=place.traffic.ttft_ms,
            running=dict(running),
        )

    async def _report(self, seen: Sequence[BackendReport]) -> None:
        if not seen:
            return
        try:
            await self._reports.report(seen)
            self._said, self._away = seen, False
        except Unavailable as error:
            if not self._away:  # a line an outage
                log.warning("reports_not_told", why=str(error))
            self._away = True


def _same(some: Sequence[BackendReport], others: Sequence[BackendReport]) -> bool:
    """Whether they say the same, whenever they said it."""
    return [one.model_copy(update={"at": None}) for one in some] == [
        one.model_copy(update={"at": None}) for one in others
    ]
