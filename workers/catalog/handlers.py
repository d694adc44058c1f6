"""What the catalog worker does: ask back-ends what they have, keep it, and tell what changed."""

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from types import TracebackType
from typing import Self

import structlog
from opentelemetry import trace

from contracts.commands import RefreshCatalog
from contracts.errors import OllamaNetError
from contracts.ports.backend import Backend
from contracts.ports.bus import Bus, Delivery
from contracts.ports.stores import Leases, Models
from contracts.public import ModelAvailable, ModelUnavailable
from contracts.records import Model
from workers.catalog import metrics
from workers.catalog.refresh import changed, look_at
from workers.catalog.settings import CatalogSettings

log = structlog.get_logger()
tracer = trace.get_tracer("ollamanet.catalog")

LEASE = "catalog.refresh"
EVERY = 5.0
"""Seconds between two looks at the back-ends."""
LEASE_FACTOR = 4
"""The lease outlives a slow look (10 s at most) and is taken over 20 s after its holder died."""


class Catalog:
    """Keeps the list of models. Of several catalog workers the one that holds the lease asks the back-ends.

    `backends`: all there are (opened from `settings`); what another one served is taken off the list.
    """

    def __init__(
        self,
        bus: Bus,
        models: Models,
        leases: Leases,
        backends: Mapping[str, Backend],
        settings: CatalogSettings,
        holder: str,
        *,
        every: float = EVERY,
    ) -> None:
        self._bus = bus
        self._models = models
        self._leases = leases
        self._backends = backends
        self._holder = holder
        self._every = every
        self._refreshing = asyncio.Lock()
        self._untold: list[ModelAvailable | ModelUnavailable] = []
        """Kept in the store, not yet published."""
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
        """Ask now: one back-end, or all. A name that is not configured is nobody's any more."""
        wanted = [one for name, one in self._backends.items() if command.backend in (None, name)]
        await self.refresh(wanted)

    async def refresh(self, backends: Sequence[Backend]) -> None:
        """Look at these back-ends, keep what they have and publish what changed."""
        async with self._refreshing:
            with tracer.start_as_current_span("refresh catalog"):
                now = datetime.now(UTC)
                looks = await look_at(backends, await self._models.health(), now)
                known = await self._models.all()
                fresh = changed(known, looks, self._names(), now)
                if fresh:
                    await self._models.put(fresh)
                await self._models.put_health([one.health for one in looks])
                metrics.REFRESHES.inc()
                self._untold += [_news(one, now) for one in fresh]
                await self._tell()

    def _names(self) -> set[str]:
        return {one.settings.name for one in self._backends.values()}

    async def _tell(self) -> None:
        """What cannot be published now is tried again after the next look."""
        while self._untold:
            news = self._untold[0]
            await self._bus.publish(news)
            del self._untold[0]
            change = "available" if isinstance(news, ModelAvailable) else "unavailable"
            metrics.CHANGES.labels(change).inc()
            log.info(f"model_{change}", model=news.name)

    async def _poll(self) -> None:
        while True:
            try:
                if await self._leases.acquire(LEASE, self._holder, self._every * LEASE_FACTOR):
                    await self.refresh(list(self._backends.values()))
                await self._show_figures()
            except OllamaNetError as error:
                log.warning("catalog_not_refreshed", why=str(error))
            except Exception as error:
                log.error("catalog_refresh_crashed", exc_info=error)
            await asyncio.sleep(self._every)

    async def _show_figures(self) -> None:
        for one in await self._models.health():
            if one.name in self._names():
                metrics.HEALTHY.labels(one.name).set(1 if one.healthy else 0)
        metrics.MODELS.set(sum(one.available for one in await self._models.all()))


def _news(model: Model, now: datetime) -> ModelAvailable | ModelUnavailable:
    if model.available:
        return ModelAvailable(name=model.name, backends=tuple(one.backend for one in model.served_by), at=now)
    return ModelUnavailable(name=model.name, at=now)
