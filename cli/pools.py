"""The embedded platform's inference workers: one for each pool, as pools come."""

import asyncio
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from types import TracebackType
from typing import Self

import structlog

from contracts.errors import OllamaNetError
from contracts.ports.backend import BackendRoster
from contracts.topology import DEFAULT_POOL
from workers.inference.handlers import Inference

log = structlog.get_logger()

LOOK = 0.5
"""Seconds between looks for a back-end in a pool that has no worker yet."""


class Pools:
    """Starts a worker for the default pool, and for every other one once it has a back-end. None ends before the platform does."""

    def __init__(
        self,
        roster: BackendRoster,
        worker: Callable[[str], AbstractAsyncContextManager[Inference]],
        *,
        look: float = LOOK,
    ) -> None:
        self._roster = roster
        self._worker = worker
        self._look = look
        self._workers: dict[str, Inference] = {}
        self._running: list[AbstractAsyncContextManager[Inference]] = []
        self._stopping = False
        self._looking: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        try:
            await self._start(DEFAULT_POOL)
            await self._start_new()
        except BaseException:
            await self._end()
            raise
        self._looking = asyncio.create_task(self._look_on(), name="pools")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._looking is not None:
            self._looking.cancel()
            await asyncio.gather(self._looking, return_exceptions=True)
        await self._end()

    @property
    def names(self) -> list[str]:
        """The pools that have a worker."""
        return list(self._workers)

    def stop_taking(self) -> None:
        """The process was asked to end: no worker takes anything more."""
        self._stopping = True
        for one in self._workers.values():
            one.stop_taking()

    async def _look_on(self) -> None:
        while not self._stopping:
            await asyncio.sleep(self._look)
            try:
                await self._start_new()
            except OllamaNetError as error:
                log.warning("pool_not_served_yet", why=str(error))

    async def _start_new(self) -> None:
        for pool in {one.settings.pool: None for one in self._roster.backends.values()}:
            if pool not in self._workers and not self._stopping:
                await self._start(pool)

    async def _start(self, pool: str) -> None:
        running = self._worker(pool)
        self._workers[pool] = await running.__aenter__()
        self._running.append(running)

    async def _end(self) -> None:
        """All at once: each may need the whole time that a drain has."""
        ends = await asyncio.gather(*(one.__aexit__(None, None, None) for one in self._running), return_exceptions=True)
        for end in ends:
            if isinstance(end, BaseException):
                raise end
