"""One subscription: FastStream takes the messages, a task of its own handles each, so that a lost channel ends no handler."""

import asyncio
from contextlib import suppress

from aio_pika import IncomingMessage
from aio_pika.exceptions import CONNECTION_EXCEPTIONS
from faststream import AckPolicy
from faststream.rabbit import Channel, RabbitBroker, RabbitMessage

from contracts.envelope import from_headers
from contracts.handling import InFlight, handle_dead, handle_message
from contracts.ports.bus import DeadSubscription, Subscription
from contracts.verdicts import Judged, Verdict, judged
from infra.rabbitmq.declaring import bind, rabbit_queue
from infra.rabbitmq.letters import dead_message
from infra.rabbitmq.verdicts import Bury, held, tell

RECONNECTS = 4
"""Handlers of lost channels run on beside those of the new one: at most this many times `concurrency` in all."""
CANCEL_WITHIN = 2.0
"""Seconds to stop the intake; without an answer, closing the connection does it."""


class Consumer:
    """Handles at most `concurrency` messages of one queue at once: the prefetch of a channel of its own. `bury`: for its dead letters."""

    def __init__(self, subscription: Subscription | DeadSubscription, broker: RabbitBroker, bury: Bury) -> None:
        self._subscription = subscription
        self._broker = broker
        self._bury = bury if subscription.queue.dead_letters else None
        self._in_flight = InFlight(subscription.queue.name, RECONNECTS * subscription.concurrency)
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
        await self._in_flight.room()
        self._in_flight.begin(self._settle(message))

    async def _settle(self, message: IncomingMessage) -> None:
        verdict = Judged(Verdict.GIVE_BACK)
        if not self._leaving:
            verdict = await judged(self._subscription, held(message), lambda again: self._once(message, again))
        await tell(message, verdict, self._bury)

    async def _once(self, message: IncomingMessage, redelivered: bool) -> None:
        if isinstance(self._subscription, DeadSubscription):
            await handle_dead(self._subscription, dead_message(message))
        else:
            await handle_message(self._subscription, from_headers(message.headers), message.body, redelivered)

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
        await self._in_flight.drain(seconds)


async def _undecoded(message: RabbitMessage) -> IncomingMessage:
    return message.raw_message
