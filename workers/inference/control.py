"""The worker's control channel and its leases: being there, hearing cancels, keeping what was claimed."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Generator
from contextlib import asynccontextmanager, contextmanager, suppress
from types import TracebackType
from typing import Self

import structlog

from contracts.errors import Unavailable
from contracts.ports.streams import Cancel, GenerationWriting
from workers.inference.claim import FIRST_PAUSE, LONGEST_PAUSE, Claim

log = structlog.get_logger()

RENEW_EVERY = 2.0
"""Seconds; a lease holds 10, so three renewals may fail."""


class Control:
    """Subscribed from start to end: whoever is not subscribed looks dead, and others take its generations over."""

    def __init__(self, streams: GenerationWriting, worker: str) -> None:
        self._streams = streams
        self._worker = worker
        self.losses = 0
        """How often the subscription was lost."""
        self._claims: dict[str, Claim] = {}
        self._subscribed = asyncio.Event()
        self._listening: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        """Raises Unavailable when the streams do not answer."""
        first = asyncio.get_running_loop().create_future()
        self._listening = asyncio.create_task(self._listen(first), name="control channel")
        await first
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._listening is not None:
            self._listening.cancel()
            with suppress(asyncio.CancelledError):
                await self._listening

    async def subscribed(self) -> None:
        """Returns when this process is subscribed: nothing is to be claimed before."""
        await self._subscribed.wait()

    @contextmanager
    def _reachable(self, claim: Claim) -> Generator[None, None, None]:
        self._claims[claim.generation_id] = claim
        try:
            yield
        finally:
            if self._claims.get(claim.generation_id) is claim:
                del self._claims[claim.generation_id]

    @asynccontextmanager
    async def holding(self, claim: Claim) -> AsyncGenerator[None, None]:
        """Inside, the claim hears cancels and its lease is renewed."""
        renewing = asyncio.create_task(self._renew(claim))
        try:
            with self._reachable(claim):
                yield
        finally:
            renewing.cancel()
            with suppress(asyncio.CancelledError):
                await renewing

    async def _renew(self, claim: Claim) -> None:
        while claim.writable:
            await asyncio.sleep(RENEW_EVERY)
            await self._look(claim)

    async def _look(self, claim: Claim) -> None:
        """Renew once, learning whether it was cancelled or taken over."""
        try:
            claim.note(await self._streams.renew(claim.generation_id, claim.epoch))
        except Unavailable as error:
            claim.disconnected()
            log.warning("renewal_failed", generation_id=claim.generation_id, why=str(error))

    async def _listen(self, first: asyncio.Future[None]) -> None:
        pause = FIRST_PAUSE
        while True:
            try:
                async with self._streams.control(self._worker) as words:
                    pause = FIRST_PAUSE
                    if first.done():
                        log.info("control_channel_back")
                    else:
                        first.set_result(None)
                    self._subscribed.set()
                    await self._hear(words)
            except Unavailable as error:
                if not first.done():
                    first.set_exception(error)
                    return
                log.warning("control_channel_lost", why=str(error), retry_in_s=pause)
            self._lost()
            await asyncio.sleep(pause)
            pause = min(pause * 2, LONGEST_PAUSE)

    async def _hear(self, words: AsyncIterator[Cancel]) -> None:
        """What was said while nobody listened stands in the logs: look there first."""
        await asyncio.gather(*(self._look(one) for one in list(self._claims.values())))
        async for word in words:
            claim = self._claims.get(word.generation_id)
            if claim is not None and claim.epoch == word.epoch:
                claim.cancel()

    def _lost(self) -> None:
        self.losses += 1
        self._subscribed.clear()
        for claim in self._claims.values():
            claim.disconnected()
