"""Collects concurrent calls into one write."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

import structlog

from contracts.errors import Transient
from workers.history import metrics

log = structlog.get_logger()
T = TypeVar("T")
R = TypeVar("R")

MOST = 200
"""Items in one write."""


class Batches(Generic[T, R]):
    """`write` gets what was put while the write before was under way: alone when idle, many under load. One at a time."""

    def __init__(self, write: Callable[[Sequence[T]], Awaitable[Sequence[R]]]) -> None:
        self._write = write
        self._waiting: list[tuple[T, asyncio.Future[R]]] = []
        self._writing: asyncio.Task[None] | None = None

    async def put(self, item: T) -> R:
        """What `write` gave for this item, once it is durable. Raises what it raised."""
        written: asyncio.Future[R] = asyncio.get_running_loop().create_future()
        self._waiting.append((item, written))
        if self._writing is None:
            self._writing = asyncio.create_task(self._write_all())
        return await written

    async def end(self) -> None:
        """Finish the write that is under way."""
        if self._writing is not None:
            await asyncio.gather(self._writing, return_exceptions=True)

    async def _write_all(self) -> None:
        try:
            while self._waiting:
                batch, self._waiting = self._waiting[:MOST], self._waiting[MOST:]
                await self._write_one([one for one in batch if not one[1].done()])
        finally:
            self._writing = None

    async def _write_one(self, batch: list[tuple[T, asyncio.Future[R]]]) -> None:
        if not batch:
            return
        metrics.BATCH.observe(len(batch))
        try:
            results = await self._write([item for item, _ in batch])
        except Exception as error:  # noqa: BLE001 - those who put the items get it
            await self._failed(batch, error)
            return
        for (_, written), result in zip(batch, results, strict=True):
            if not written.done():
                written.set_result(result)

    async def _failed(self, batch: list[tuple[T, asyncio.Future[R]]], error: Exception) -> None:
        """A store that is away fails them all; anything else is the fault of one, so each is tried by itself."""
        if isinstance(error, Transient) or len(batch) == 1:
            for _, written in batch:
                if not written.done():
                    written.set_exception(error)
            return
        log.error("batch_failed", size=len(batch), exc_info=error)
        for one in batch:
            await self._write_one([one])
