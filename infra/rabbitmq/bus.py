"""`Bus` over RabbitMQ: quorum queues, publisher confirms, one connection that publishes and one that consumes.

Under a memory or disk alarm the server stops reading the connection that publishes, acks included; hence two.
"""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from functools import partial
from types import TracebackType
from typing import Self
from weakref import WeakValueDictionary

from aio_pika import IncomingMessage
from aio_pika import Message as AmqpMessage
from aio_pika.abc import DeliveryMode
from aio_pika.exceptions import DeliveryError, PublishError
from faststream.rabbit import Channel

from contracts.envelope import CONTENT_TYPE, Envelope, Message, to_headers, wrap
from contracts.errors import Overloaded, Unavailable, Unroutable
from contracts.ports.bus import Bus, DeadSubscription, Subscription
from contracts.topology import DEAD_LETTERS, Binding, must_be_owned, route
from infra.rabbitmq.connection import Broker, trouble_is_unavailable
from infra.rabbitmq.consuming import Consumer
from infra.rabbitmq.declaring import declare_all, rabbit_exchange
from infra.rabbitmq.letters import letter

OPEN_WITHIN = 10.0
"""Seconds to connect and declare; a process gives each try 15."""
PUBLISH_WITHIN = 5.0
"""Seconds for a confirm; under an alarm none comes, and the caller answers 503."""
READY_WITHIN = 1.0
"""Seconds that a message waits for a connection that comes back or is let write again; a longer outage fails it then."""
CHECK_WITHIN = 2.0
"""Seconds for an answer that says the server is there."""


class RabbitBus(Bus):
    """The bus of one process. `source`: who publishes, for CloudEvents; `pools`: whose queues are declared.

    Raises Unavailable when entered while the server does not answer, TopologyChanged when it holds other queues.
    """

    def __init__(self, url: str, *, source: str, pools: tuple[str, ...] = ("default",)) -> None:
        self._url, self._source, self._pools = url, source, pools
        self._publishing = Broker(url, f"{source} publishing", Channel(on_return_raises=True))
        self._consuming: set[Broker] = set()
        self._by_id: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    async def __aenter__(self) -> Self:
        try:
            with trouble_is_unavailable("opening"):
                async with asyncio.timeout(OPEN_WITHIN):
                    await self._publishing.connect()
                    await declare_all(self._publishing, self._pools)
        except BaseException:
            await self._publishing.close()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._publishing.close()

    async def publish(self, message: Message, *, expires_in: float | None = None) -> None:
        envelope, binding = wrap(message, self._source), route(message)
        carried = _carried(message, envelope, expires_in)
        try:
            await self._confirmed(carried, binding, mandatory=must_be_owned(message))
        except PublishError as error:
            raise Unroutable(
                f"No queue takes {message.type} under {binding.key!r}: no worker ever served it here."
            ) from error
        except DeliveryError as error:
            raise Overloaded(f"A queue that takes {message.type} under {binding.key!r} is full.") from error

    async def _confirmed(self, carried: AmqpMessage, binding: Binding, *, mandatory: bool) -> None:
        """Returned: the server has it. Raises Unavailable, PublishError (no queue takes it), DeliveryError (it is refused)."""
        # aiormq finds whom a returned message belongs to by its id: of two in flight one would pass as confirmed
        async with self._by_id.setdefault(carried.message_id or "", asyncio.Lock()):
            with trouble_is_unavailable(f"publishing under {binding.key!r}"):
                async with asyncio.timeout(PUBLISH_WITHIN):
                    await self._ready()
                    await self._publishing.publish(
                        carried,
                        exchange=rabbit_exchange(binding.exchange),
                        routing_key=binding.key,
                        mandatory=mandatory,
                        correlation_id=carried.correlation_id,  # else FastStream mints one
                    )

    async def _bury(self, queue: str, message: IncomingMessage, why: str) -> None:
        """Publish the letter of a message that dies in this queue."""
        binding = Binding(DEAD_LETTERS, message.routing_key or queue)
        await self._confirmed(letter(message, queue, why), binding, mandatory=True)

    async def _ready(self) -> None:
        """Wait for the connection to be there and not blocked: what is written then is read by the server at once."""
        async with asyncio.timeout(READY_WITHIN):
            channel = await self._publishing.config.channel_manager.get_channel()
            await channel.ready()
            connection = await self._publishing.connect()
            if connection.transport is not None:
                await connection.transport.ready()

    @asynccontextmanager
    async def consume(
        self, subscriptions: Sequence[Subscription | DeadSubscription], *, drain: float = 20.0
    ) -> AsyncGenerator[None, None]:
        resumed = [one.resumed for one in subscriptions if isinstance(one, Subscription) and one.resumed]
        broker = Broker(self._url, f"{self._source} consuming", resumed=resumed)
        consumers = [Consumer(one, broker, partial(self._bury, one.queue.name)) for one in subscriptions]
        try:
            with trouble_is_unavailable("subscribing"):
                async with asyncio.timeout(OPEN_WITHIN):
                    await broker.connect()
                    for one in consumers:
                        await one.start()
            self._consuming.add(broker)
            yield
        finally:
            self._consuming.discard(broker)
            await asyncio.gather(*(one.stop() for one in consumers))
            await asyncio.gather(*(one.drain(drain) for one in consumers))
            await broker.close()

    async def check(self) -> None:
        with trouble_is_unavailable("checking"):
            async with asyncio.timeout(CHECK_WITHIN):
                await self._ready()
                async with (await self._publishing.connect()).channel(publisher_confirms=False):
                    pass  # opened: it answers
                for one in self._consuming:
                    if not await one.ping(CHECK_WITHIN):
                        raise Unavailable("The connection that consumes is lost; it is being opened again.")


def _carried(message: Message, envelope: Envelope, expires_in: float | None) -> AmqpMessage:
    return AmqpMessage(
        message.model_dump_json().encode(),
        headers=dict(to_headers(envelope)),
        content_type=CONTENT_TYPE,
        message_id=envelope.id,
        correlation_id=envelope.correlationid,
        delivery_mode=DeliveryMode.PERSISTENT,
        expiration=None if expires_in is None else max(expires_in, 0),
    )
