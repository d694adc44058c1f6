"""The topology as FastStream declares it. What is declared here is declared again after every reconnect."""

from functools import cache
from typing import cast

from faststream.rabbit import ExchangeType, QueueType, RabbitBroker, RabbitExchange, RabbitQueue
from faststream.rabbit.schemas.queue import ClassicQueueArgs, QuorumQueueArgs

from contracts.topology import EXCHANGES, Exchange, Queue, durable_queues


@cache
def rabbit_exchange(exchange: Exchange) -> RabbitExchange:
    """A durable exchange."""
    return RabbitExchange(exchange.name, type=ExchangeType(exchange.kind), durable=True)


def rabbit_queue(queue: Queue) -> RabbitQueue:
    """A durable quorum queue, or a classic one that ends with its connection."""
    arguments = queue.broker_arguments()
    if queue.exclusive:
        return RabbitQueue(queue.name, durable=False, exclusive=True, arguments=cast(ClassicQueueArgs, arguments))
    return RabbitQueue(queue.name, QueueType.QUORUM, durable=True, arguments=cast(QuorumQueueArgs, arguments))


async def declare_all(broker: RabbitBroker, pools: tuple[str, ...]) -> None:
    """Every exchange and durable queue, the dead letters' first."""
    for exchange in EXCHANGES:
        await broker.declare_exchange(rabbit_exchange(exchange))
    for queue in durable_queues(pools):
        await bind(broker, queue)


async def bind(broker: RabbitBroker, queue: Queue) -> None:
    """Declare a queue, unless this broker did, and bind it on the channel that declared it, which repeats both."""
    declared = await broker.declare_queue(rabbit_queue(queue))
    for binding in queue.bindings:
        await declared.bind(binding.exchange.name, binding.key)
