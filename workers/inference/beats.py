"""Telling the pool's line that this worker is there, and how long its generations take."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from types import TracebackType
from typing import Self

import structlog

from contracts.errors import Unavailable
from contracts.ports.lines import GenerationWaiting

log = structlog.get_logger()

EVERY = 2.0
"""Seconds; a beat counts for 10."""
LAST_WORD = 1.0
"""Seconds for telling that it stops; the last beat runs out in 10 anyway."""
UNTOLD = 100
"""Service times on their way at once; what comes beyond, with the streams away, is not told."""


class Beats:
    """Beats from start to end, each with as many slots as there are then. Nothing here holds up a generation, and nothing is tried
    twice: the next beat says the same."""

    def __init__(self, streams: GenerationWaiting, pool: str, worker: str, slots: Callable[[], int]) -> None:
        self._streams = streams
        self._pool = pool
        self._worker = worker
        self._slots = slots
        self._stops = False
        self._changed = asyncio.Event()
        self._said_last = asyncio.Event()
        self._telling: set[asyncio.Task[None]] = set()
        self._beating: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self._beating = asyncio.create_task(self._beat_on(), name="beats")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
        with suppress(TimeoutError):
            async with asyncio.timeout(LAST_WORD):
                await self._said_last.wait()
        tasks = [one for one in (self._beating, *self._telling) if one is not None]
        for one in tasks:
            one.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def stop(self) -> None:
        """Tell at once that this worker takes nothing more."""
        self._stops = True
        self._changed.set()

    def served(self, model: str, ms: float) -> None:
        """Tell how long a generation held its slot; returns at once."""
        if len(self._telling) < UNTOLD:
            telling = asyncio.create_task(self._tell(model, ms), name="service time")
            self._telling.add(telling)
            telling.add_done_callback(self._telling.discard)

    async def _tell(self, model: str, ms: float) -> None:
        try:
            await self._streams.served(self._pool, model, ms)
        except Unavailable as error:
            log.warning("service_time_not_told", why=str(error))

    async def _beat_on(self) -> None:
        while True:
            self._changed.clear()
            stops = self._stops
            try:
                await self._streams.beat(self._pool, self._worker, 0 if stops else self._slots())
                if stops:
                    self._said_last.set()
            except Unavailable as error:
                log.warning("beat_missed", why=str(error))
            with suppress(TimeoutError):
                async with asyncio.timeout(EVERY):
                    await self._changed.wait()
