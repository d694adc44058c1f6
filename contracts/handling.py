"""How every bus handles messages: each in a task of its own, inside its own trace and cause, at most so many at once."""

import asyncio
from collections.abc import Coroutine
from contextlib import AbstractContextManager, nullcontext

import structlog
from opentelemetry import propagate, trace

from contracts.envelope import Envelope, envelope_of, handling, parse
from contracts.errors import ContractViolated
from contracts.ports.bus import DeadMessage, DeadSubscription, Delivery, Subscription

log = structlog.get_logger()
tracer = trace.get_tracer("ollamanet.bus")


async def handle_message(subscription: Subscription, envelope: Envelope, body: bytes, redelivered: bool) -> None:
    """Parse the body and give it to the subscription's handler. Raises ContractViolated, and what the handler raises."""
    content = parse(envelope, body)
    if not isinstance(content, subscription.messages):
        raise ContractViolated(f"The queue {subscription.queue.name} is not for {envelope.type}.")
    name = f"{envelope.type.removeprefix('net.ollamanet.')} handle"
    with _span(name, envelope.traceparent), handling(envelope):
        await subscription.handle(content, Delivery(envelope, redelivered))


async def handle_dead(subscription: DeadSubscription, dead: DeadMessage) -> None:
    """Give a dead letter to the subscription's handler; what that publishes is caused by the letter, if it can be read so far."""
    try:
        cause = handling(envelope_of(dead.attributes))
    except ContractViolated:
        cause = nullcontext()
    with _span("dead letter handle", dead.attributes.get("traceparent")), cause:
        await subscription.handle(dead)


def _span(name: str, traceparent: str | None) -> AbstractContextManager[trace.Span]:
    parent = propagate.extract({"traceparent": traceparent} if traceparent else {})
    return tracer.start_as_current_span(name, context=parent, kind=trace.SpanKind.CONSUMER)


class InFlight:
    """The tasks of one queue's deliveries. `most`: how many there are at once."""

    def __init__(self, queue: str, most: int) -> None:
        self._queue = queue
        self._slots = asyncio.Semaphore(most)
        self._running: set[asyncio.Task[None]] = set()

    async def room(self) -> None:
        """Wait until one more may begin; `begin` or `leave` it then."""
        await self._slots.acquire()

    def leave(self) -> None:
        """Nothing began."""
        self._slots.release()

    def begin(self, work: Coroutine[None, None, None]) -> None:
        """Run this in a task; when it ends there is room again."""
        task = asyncio.create_task(work)
        self._running.add(task)
        task.add_done_callback(self._ended)

    async def drain(self, seconds: float) -> None:
        """Wait for what is in flight, then cancel it, which gives it back."""
        if self._running:
            await asyncio.wait(self._running, timeout=seconds)
        left = list(self._running)
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._running.discard(task)
        self._slots.release()
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("verdict_lost", queue=self._queue, exc_info=error)
