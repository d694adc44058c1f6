"""One subscription: FastStream takes the messages, a task of its own handles each, so that a lost channel ends no handler."""

import asyncio
from contextlib import suppress

import structlog
from aio_pika import IncomingMessage
from aio_pika.exceptions import CONNECTION_EXCEPTIONS
from faststream import AckPolicy
from faststream.rabbit import Channel, RabbitBroker, RabbitMessage
from opentelemetry import propagate, trace

from contracts.envelope import from_headers, handling, parse
from contracts.errors import ContractViolated
from contracts.ports.bus import Delivery, Subscription
from infra.rabbitmq.declaring import bind, rabbit_queue
from infra.rabbitmq.verdicts import Verdict, judged, tell

log = structlog.get_logger()
tracer = trace.get_tracer("ollamanet.bus")

RECONNECTS = 4
"""Handlers of lost channels run on beside those of the new one: at most this many times `concurrency` in all."""
CANCEL_WITHIN = 2.0
"""Seconds to stop the intake; without an answer, closing the connection does it."""


class Consumer:
    """Handles at most `concurrency` messages of one queue at once: the prefetch of a channel of its own."""

    def __init__(self, subscription: Subscription, broker: RabbitBroker) -> None:
        self._subscription = subscription
        self._broker = broker
        self._running: set[asyncio.Task[None]] = set()
        self._slots = asyncio.Semaphore(RECONNECTS * subscription.concurrency)
        self._leaving = False
        self._subscriber = broker.subscriber(
            rabbit_queue(subscription.queue),
            channel=Channel(prefetch_count=subscription.concurrency),
            ack_policy=AckPolicy.MANUAL,
            decoder=_undecoded,
            no_reply=True,
        )
        self._subscriber(self._take)

    async def start(self) -> None:
        """Subscribe. aio-pika does it again after a reconnect, and when the server cancels the consumer."""
        await self._subscriber.start()
        await bind(self._broker, self._subscription.queue)

    async def _take(self, message: IncomingMessage) -> None:
        """FastStream's handler: start a task and return. Waiting here ends with the channel; the task does not."""
        await self._slots.acquire()
        task = asyncio.create_task(self._give_back(message) if self._leaving else self._settle(message))
        self._running.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._running.discard(task)
        self._slots.release()
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("verdict_lost", queue=self._subscription.queue.name, exc_info=error)

    async def _give_back(self, message: IncomingMessage) -> None:
        await tell(message, Verdict.GIVE_BACK)

    async def _settle(self, message: IncomingMessage) -> None:
        verdict = await judged(message, lambda again: self._once(message, again), self._subscription.retry_for)
        await tell(message, verdict)

    async def _once(self, message: IncomingMessage, redelivered: bool) -> None:
        envelope = from_headers(message.headers)
        content = parse(envelope, message.body)
        if not isinstance(content, self._subscription.messages):
            raise ContractViolated(f"The queue {self._subscription.queue.name} is not for {envelope.type}.")
        parent = propagate.extract({"traceparent": envelope.traceparent} if envelope.traceparent else {})
        name = f"{envelope.type.removeprefix('net.ollamanet.')} handle"
        with tracer.start_as_current_span(name, context=parent, kind=trace.SpanKind.CONSUMER), handling(envelope):
            await self._subscription.handle(content, Delivery(envelope, redelivered))

    async def stop(self) -> None:
        """Take nothing more; what was fetched but not begun goes back at once."""
        self._leaving = True
        # FastStream's own stop() would drop what arrives before the cancel is answered
        tag, self._subscriber._consumer_tag = self._subscriber._consumer_tag, None
        if tag is None:
            return
        with suppress(*CONNECTION_EXCEPTIONS):
            async with asyncio.timeout(CANCEL_WITHIN):
                declared = await self._broker.declare_queue(self._subscriber.queue)
                await declared.cancel(tag)

    async def drain(self, seconds: float) -> None:
        """Wait for what is in flight, then cancel it, which gives it back."""
        if self._running:
            await asyncio.wait(self._running, timeout=seconds)
        left = list(self._running)
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)


async def _undecoded(message: RabbitMessage) -> IncomingMessage:
    return message.raw_message
