"""Taking from the bus as much as the pool's back-ends can run: more, when there are more of them."""

import asyncio
from contextlib import AbstractAsyncContextManager, suppress
from types import TracebackType
from typing import Self

import structlog

from contracts.errors import Unavailable
from contracts.ports.bus import Bus
from workers.inference.handlers import Inference
from workers.inference.subscriptions import subscriptions

log = structlog.get_logger()

LOOK = 0.25
"""Seconds between looks at how many slots there are."""
AGAIN = 2.0
"""Seconds until it is tried again where the bus was away."""


class Intake:
    """Consumes while inside, as soon as there is a slot. A bus cannot be asked to hand out more or less under one subscription: for more
    slots, another set of subscriptions is added. None is ever left for fewer, for that would end what runs: what is in hand
    then waits for a slot. `drain`: as of Bus.consume.
    """

    def __init__(self, bus: Bus, inference: Inference, pool: str, *, drain: float = 20.0) -> None:
        self._bus = bus
        self._inference = inference
        self._pool = pool
        self._drain = drain
        self._consuming: list[AbstractAsyncContextManager[None]] = []
        self._growing: asyncio.Task[None] | None = None
        self.slots = 0
        """For how many it consumes."""

    async def __aenter__(self) -> Self:
        """Raises Unavailable when the bus does not answer."""
        await self._grow()
        self._growing = asyncio.create_task(self._grow_on(), name="intake")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._growing is not None:
            self._growing.cancel()
            with suppress(asyncio.CancelledError):
                await self._growing
        # all at once: one after another, the last would take on while the first drains
        ends = await asyncio.gather(
            *(one.__aexit__(kind, error, trace) for one in self._consuming), return_exceptions=True
        )
        for end in ends:
            if isinstance(end, BaseException) and end is not error:
                raise end

    async def _grow(self) -> None:
        slots = self._inference.slots
        if slots > self.slots:
            more = self._bus.consume(
                subscriptions(self._inference, self._pool, slots, taken=self.slots), drain=self._drain
            )
            await more.__aenter__()
            self._consuming.append(more)
            log.info("takes_questions", pool=self._pool, slots=slots)
            self.slots = slots

    async def _grow_on(self) -> None:
        while not self._inference.stopping:
            try:
                await self._grow()
                await asyncio.sleep(LOOK)
            except Unavailable as unavailable:
                log.warning("takes_no_more_yet", pool=self._pool, why=str(unavailable), retry_in_s=AGAIN)
                await asyncio.sleep(AGAIN)
