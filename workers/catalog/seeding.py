"""What OLLAMANET_BACKENDS lists stands in the registry, too: administrators see it there, and workers that list nothing use it."""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime
from types import TracebackType
from typing import Self

import structlog

from contracts.errors import Conflict, Unavailable
from contracts.ports.stores import Backends
from contracts.records import BackendSettings, RegisteredBackend
from contracts.registering import Registered, read_registry

log = structlog.get_logger()

EVERY = 5.0
"""Seconds until it is tried again where the registry did not answer: as often as the catalog looks at back-ends."""


class Seeding:
    """Brings the registry up to date with the configuration once: when it is entered, or as soon as the registry answers."""

    def __init__(self, configured: Sequence[BackendSettings], registry: Backends, *, every: float = EVERY) -> None:
        self._configured = {one.name: one for one in configured}
        self._registry = registry
        self._every = every
        self._trying: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        if not await self._done():
            self._trying = asyncio.create_task(self._try_on(), name="seeding")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._trying is not None:
            self._trying.cancel()
            await asyncio.gather(self._trying, return_exceptions=True)

    async def _try_on(self) -> None:
        while True:
            await asyncio.sleep(self._every)
            if await self._done():
                return

    async def _done(self) -> bool:
        try:
            await self._seed()
        except Unavailable as error:
            log.warning("registry_not_seeded", why=str(error), retry_in_s=self._every)
            return False
        return True

    async def _seed(self) -> None:
        found = await read_registry(self._registry)
        for one in self._configured.values():
            await self._put(one, found)
        for name, before in found.sound.items():
            if before.source == "configuration" and name not in self._configured and await self._registry.remove(name):
                log.info("backend_not_configured_any_more", backend=name)

    async def _put(self, settings: BackendSettings, found: Registered) -> None:
        """In the place of whatever has that name, unless that is the very same."""
        before, now = found.sound.get(settings.name), _this_moment()
        same_kind = before is not None and before.source == "configuration"
        fresh = RegisteredBackend(
            settings=settings,
            source="configuration",
            created_at=before.created_at if before is not None and same_kind else now,
            updated_at=now,
        )
        if _same(before, fresh):
            return
        try:
            await self._keep(fresh)
        except Conflict as error:
            log.warning("backend_key_not_kept", backend=settings.name, why=str(error))
            bare = fresh.model_copy(update={"settings": settings.model_copy(update={"api_key": None})})
            if _same(before, bare):
                return
            await self._keep(bare)
        if before is not None and not same_kind:
            log.warning("backend_replaced_by_configured_one", backend=settings.name)

    async def _keep(self, backend: RegisteredBackend) -> None:
        if not await self._registry.put(backend) and not await self._registry.add(backend):
            await self._registry.put(backend)  # somebody added one of that name at this very moment


def _same(before: RegisteredBackend | None, after: RegisteredBackend) -> bool:
    return before is not None and (before.settings, before.source) == (after.settings, after.source)


def _this_moment() -> datetime:
    """As stores keep it: to the millisecond."""
    now = datetime.now(UTC)
    return now.replace(microsecond=now.microsecond // 1000 * 1000)
