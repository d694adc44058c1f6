"""Asking back-ends what they have: every few seconds, when somebody says so, and right after a command changed one."""

import asyncio
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from types import TracebackType
from typing import Self

import structlog
from opentelemetry import trace

from contracts.commands import RefreshCatalog
from contracts.errors import OllamaNetError, Unavailable
from contracts.ports.administration import BackendReports
from contracts.ports.backend import Backend, BackendRoster
from contracts.ports.bus import Bus, Delivery
from contracts.ports.stores import Leases, Models
from contracts.public import ModelAvailable, ModelUnavailable
from contracts.records import BackendHealth, BackendModel, Model
from workers.catalog import metrics
from workers.catalog.refresh import Look, changed, look_at

log = structlog.get_logger()
tracer = trace.get_tracer("ollamanet.catalog")

LEASE = "catalog.refresh"
EVERY = 5.0
"""Seconds between two looks at the back-ends."""
SOONER = 1.0
"""The same after a look that failed for the first time: the second one says that the models are gone."""
LEASE_FACTOR = 4
"""The lease outlives a slow look (10 s at most) and is taken over 20 s after its holder died."""
TOLD_AT_ONCE = 100
"""News on their way to the broker: one by one, 4,000 models of a new catalog take 12 s."""
WHOLE_EVERY = 60.0
"""Seconds between two comparisons with all that the store has, where looks see nothing new: 4,000 records are 0.2 s of a core."""


class Refreshing:
    """Keeps what the catalog says of back-ends. Of several catalog workers the one that holds the lease asks them all, regularly."""

    def __init__(
        self,
        bus: Bus,
        models: Models,
        leases: Leases,
        roster: BackendRoster,
        reports: BackendReports,
        holder: str,
        *,
        every: float = EVERY,
    ) -> None:
        self._bus = bus
        self._models = models
        self._leases = leases
        self._roster = roster
        self._reports = reports
        self._holder = holder
        self._every = every
        self._merging = asyncio.Lock()
        self._untold: list[ModelAvailable | ModelUnavailable] = []
        """Kept in the store, not yet published."""
        self._seen: dict[str, tuple[BackendModel, ...]] = {}
        """What each back-end had when it was merged last."""
        self._whole_at = float("-inf")
        self._names: frozenset[str] = frozenset()
        self._polling: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self._polling = asyncio.create_task(self._poll(), name="catalog polling")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._polling is not None:
            self._polling.cancel()
            await asyncio.gather(self._polling, return_exceptions=True)
        with suppress(OllamaNetError):
            await self._leases.release(LEASE, self._holder)

    async def refresh_catalog(self, command: RefreshCatalog, delivery: Delivery) -> None:
        """Ask now: one back-end, or all. A name that is not there is nobody's any more."""
        with suppress(Unavailable):  # what was known of the registry stands
            await self._roster.refresh()
        looks = await self.refresh([command.backend] if command.backend else None)
        if command.backend and any(one.models is None for one in looks):
            await asyncio.sleep(min(SOONER, self._every) / 2)
            await self.refresh([command.backend])

    async def ready(self, backend: str) -> None:
        """Its models were changed just now. Raises Unavailable."""
        await self.refresh([backend])

    async def refresh(self, names: Iterable[str] | None = None) -> Sequence[Look]:
        """Look at these back-ends (None: all), keep what they have and publish what changed; the looks."""
        with tracer.start_as_current_span("refresh catalog"):
            backends = self._roster.backends
            wanted = _named(backends, names)
            now = datetime.now(UTC)
            before, stopped = await self._models.health(), await self._stopped()
            looks = await look_at(wanted, before, now, stopped)
            async with self._merging:
                await self._merge(await self._newest(looks), frozenset(backends), now)
                metrics.REFRESHES.inc()
                await self._tell()
            return looks

    async def _stopped(self) -> frozenset[str]:
        """Back-ends that every worker which asks them has stopped asking, for they fail."""
        try:
            reports = await self._reports.recent()
        except Unavailable as error:
            log.warning("reports_not_read", why=str(error))
            return frozenset()
        asked = {one.backend for one in reports if one.circuit != "open"}
        return frozenset(one.backend for one in reports) - asked

    async def _newest(self, looks: Sequence[Look]) -> Sequence[Look]:
        """Those that nobody has overtaken: a slow look must not undo what a later one saw."""
        merged = {one.name: one.checked_at for one in await self._models.health()}
        return [one for one in looks if not _older(one.health, merged)]

    async def _merge(self, looks: Sequence[Look], names: frozenset[str], now: datetime) -> None:
        """Compare with what the store has, unless all of it was seen before."""
        old = all(one.models is not None and self._seen.get(one.health.name) == one.models for one in looks)
        if not old or names != self._names or time.monotonic() - self._whole_at > WHOLE_EVERY:
            known = await self._models.all()
            fresh = changed(known, looks, names, now)
            if fresh:
                await self._models.note_serving(fresh)
            if names != self._names:
                await self._models.keep_health(sorted(names))
            self._untold += [_news(one, now) for one in fresh]
            self._remember(known, fresh, looks, names)
        await self._models.put_health([one.health for one in looks if one.health.name in names])
        for one in looks:
            metrics.HEALTHY.labels(one.health.name).set(1 if one.health.healthy else 0)

    def _remember(
        self, known: Sequence[Model], fresh: Sequence[Model], looks: Sequence[Look], names: frozenset[str]
    ) -> None:
        records = {one.name: one for one in (*known, *fresh)}
        metrics.MODELS.set(sum(one.available for one in records.values()))
        self._seen = {name: one for name, one in self._seen.items() if name in names}
        for one in looks:
            if one.models is not None:
                self._seen[one.health.name] = one.models
            else:
                self._seen.pop(one.health.name, None)
        for name in self._names - names:
            with suppress(KeyError):
                metrics.HEALTHY.remove(name)
        self._names = names
        self._whole_at = time.monotonic()

    async def _tell(self) -> None:
        """What cannot be published now is tried again after the next look. Side by side, but what is told of one model in its order."""
        while self._untold:
            first: dict[str, ModelAvailable | ModelUnavailable] = {}
            for one in self._untold[:TOLD_AT_ONCE]:
                first.setdefault(one.name, one)
            together = list(first.values())
            answers = await asyncio.gather(*(self._bus.publish(one) for one in together), return_exceptions=True)
            told = [one for one, answer in zip(together, answers, strict=True) if answer is None]
            done = {id(one) for one in told}
            self._untold = [one for one in self._untold if id(one) not in done]
            for one in told:
                change = "available" if isinstance(one, ModelAvailable) else "unavailable"
                metrics.CHANGES.labels(change).inc()
                log.info(f"model_{change}", model=one.name)
            for answer in answers:
                if answer is not None:
                    raise answer

    async def _poll(self) -> None:
        while True:
            pause = self._every
            try:
                if await self._leases.acquire(LEASE, self._holder, self._every * LEASE_FACTOR):
                    with metrics.REFRESH_TIME.time():
                        looks = await self.refresh()
                    if any(one.models is None for one in looks):
                        pause = min(SOONER, self._every)
            except OllamaNetError as error:
                log.warning("catalog_not_refreshed", why=str(error))
            except Exception as error:
                log.error("catalog_refresh_crashed", exc_info=error)
            await asyncio.sleep(pause)


def _named(backends: Mapping[str, Backend], names: Iterable[str] | None) -> list[Backend]:
    return list(backends.values()) if names is None else [backends[one] for one in names if one in backends]


def _older(health: BackendHealth, merged: Mapping[str, datetime]) -> bool:
    at = merged.get(health.name)
    return at is not None and at > health.checked_at


def _news(model: Model, now: datetime) -> ModelAvailable | ModelUnavailable:
    if model.available:
        return ModelAvailable(name=model.name, backends=tuple(one.backend for one in model.served_by), at=now)
    return ModelUnavailable(name=model.name, at=now)
