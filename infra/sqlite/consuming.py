"""One subscription of the SQLite bus: takes messages, runs their handler, turns what it raises into a verdict."""

import asyncio
import time
from dataclasses import dataclass
from typing import Protocol

import structlog
from opentelemetry import propagate, trace

from contracts.envelope import Envelope, handling, parse
from contracts.errors import ContractViolated, HandOver, Permanent, Unavailable
from contracts.ports.bus import Delivery, Subscription

log = structlog.get_logger()
tracer = trace.get_tracer("ollamanet.bus")
FIRST_DELAY, LONGEST_DELAY = 0.1, 5.0


@dataclass(frozen=True)
class Taken:
    """A message that a consumer holds. `place` 0: of an exclusive queue, kept nowhere; `envelope` None: it cannot be read."""

    place: int
    envelope: Envelope | None
    body: bytes
    redelivered: bool

    @property
    def about(self) -> dict[str, object]:
        """What a log line says of it."""
        named = self.envelope
        return {"place": self.place, **({"type": named.type, "subject": named.subject} if named else {})}


class Source(Protocol):
    """Where messages are taken from."""

    async def take(self, queue: str) -> Taken: ...
    async def done(self, taken: Taken) -> None: ...
    async def give_back(self, queue: str, taken: Taken) -> None: ...
    async def bury(self, queue: str, taken: Taken, why: str) -> None: ...


class Consumer:
    """Handles at most `concurrency` messages of one queue at once."""

    def __init__(self, subscription: Subscription, source: Source) -> None:
        self.queue = subscription.queue.name
        self._subscription = subscription
        self._source = source
        self._slots = asyncio.Semaphore(subscription.concurrency)
        self._running: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        """Take and handle until cancelled."""
        while True:
            await self._slots.acquire()
            try:
                taken = await self._take()
            except BaseException:
                self._slots.release()
                raise
            task = asyncio.create_task(self._handle(taken))
            self._running.add(task)
            task.add_done_callback(self._ended)

    async def _take(self) -> Taken:
        while True:
            try:
                return await self._source.take(self.queue)
            except Unavailable as error:
                log.warning("bus_unavailable", queue=self.queue, why=str(error))
                await asyncio.sleep(1)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._running.discard(task)
        self._slots.release()
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("verdict_lost", queue=self.queue, exc_info=error)

    async def drain(self, seconds: float) -> None:
        """Wait for what is in flight, then cancel it, which gives it back."""
        if self._running:
            await asyncio.wait(self._running, timeout=seconds)
        left = list(self._running)
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)

    async def _handle(self, taken: Taken) -> None:
        try:
            await self._until_it_works(taken)
        except (HandOver, asyncio.CancelledError):
            await self._source.give_back(self.queue, taken)
        except Exception as error:
            log.error("dead_lettered", queue=self.queue, **taken.about, exc_info=error)
            await self._source.bury(self.queue, taken, f"{type(error).__name__}: {error}")
        else:
            await self._source.done(taken)

    async def _until_it_works(self, taken: Taken) -> None:
        deadline, delay, tries = time.monotonic() + self._subscription.retry_for, FIRST_DELAY, 0
        while True:
            try:
                return await self._once(taken, redelivered=taken.redelivered or tries > 0)
            except (Permanent, HandOver):
                raise
            except Exception as error:
                if time.monotonic() + delay > deadline:
                    raise
                log.warning("handling_failed", queue=self.queue, **taken.about, why=repr(error), retry_in_s=delay)
            await asyncio.sleep(delay)
            delay, tries = min(delay * 2, LONGEST_DELAY), tries + 1

    async def _once(self, taken: Taken, *, redelivered: bool) -> None:
        envelope = taken.envelope
        if envelope is None:
            raise ContractViolated("A message came without valid CloudEvents attributes.")
        message = parse(envelope, taken.body)
        if not isinstance(message, self._subscription.messages):
            raise ContractViolated(f"The queue {self.queue} is not for {envelope.type}.")
        parent = propagate.extract({"traceparent": envelope.traceparent} if envelope.traceparent else {})
        name = f"{envelope.type.removeprefix('net.ollamanet.')} handle"
        with tracer.start_as_current_span(name, context=parent, kind=trace.SpanKind.CONSUMER), handling(envelope):
            await self._subscription.handle(message, Delivery(envelope, redelivered))
