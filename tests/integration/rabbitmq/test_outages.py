"""The broker goes away, comes back, forgets its manners: nothing is lost, no handler is ended, no publisher hangs."""

import asyncio
import os
import signal
import time
from collections.abc import AsyncGenerator, Callable

import pytest

from contracts.envelope import Message
from contracts.errors import OllamaNetError, Unavailable
from contracts.ports.bus import Subscription
from contracts.topology import DEAD, edge_queue
from infra.rabbitmq.bus import PUBLISH_WITHIN, READY_WITHIN, RabbitBus
from infra.rabbitmq.consuming import RECONNECTS
from tests.contract.ports.buses import RabbitStore
from tests.contract.ports.handlers import REPLIES, Gate, Handler, model_available, subscribed
from tests.eventually import eventually
from tests.factories import generate_reply
from tests.servers.rabbitmq import RabbitmqServer


@pytest.fixture
def url(new_url: Callable[[], str]) -> str:
    return new_url()


@pytest.fixture
async def bus(url: str) -> AsyncGenerator[RabbitBus]:
    async with RabbitBus(url, source="test") as opened:
        yield opened


async def accepted(bus: RabbitBus, message: Message) -> bool:
    """Whether the bus takes it now."""
    try:
        await bus.publish(message)
    except OllamaNetError:
        return False
    return True


async def answers(bus: RabbitBus) -> bool:
    try:
        await bus.check()
    except Unavailable:
        return False
    return True


async def comes_through(bus: RabbitBus, handler: Handler, seconds: float) -> None:
    """A command published now, as often as it takes, reaches this handler."""
    command = generate_reply()
    await eventually(lambda: accepted(bus, command), seconds)
    await eventually(lambda: command in handler.messages, seconds)


@pytest.mark.parametrize("how", ["restart", "kill"])
async def test_a_restart_ends_no_handler_and_the_bus_works_again_within_3_s(
    bus: RabbitBus, url: str, server: RabbitmqServer, how: str
) -> None:
    gate, store, command = Gate(), RabbitStore(url), generate_reply()
    async with bus.consume(subscribed(REPLIES, gate.handler)):
        await bus.publish(command)
        await eventually(lambda: gate.inside == 1)
        await asyncio.to_thread(server.settle)
        await asyncio.to_thread(server.stop if how == "restart" else server.kill)
        await asyncio.to_thread(server.start)
        await eventually(gate.handler.has(2), seconds=3)  # beside the first, which nobody ended
        assert (gate.inside, gate.cancelled) == (2, 0)
        assert gate.handler.redelivered == [False, True]
        gate.open.set()  # the first one's ack is of a channel that is gone
        await eventually(lambda: gate.inside == 0)
        await comes_through(bus, gate.handler, seconds=3)
        assert [one.subject for one in gate.handler.messages].count(command.subject) == 2
    assert (await store.waiting(REPLIES), await store.waiting(DEAD)) == (0, 0)


async def test_connections_closed_by_force_come_back_with_their_queues(
    bus: RabbitBus, url: str, server: RabbitmqServer
) -> None:
    gate, edge = Gate(), Handler()
    async with bus.consume(subscribed(REPLIES, gate.handler) + subscribed(edge_queue("one"), edge)):
        await bus.publish(generate_reply())
        await eventually(lambda: gate.inside == 1)
        await asyncio.to_thread(server.control, "close_all_connections", "--global", "for a test")
        await eventually(gate.handler.has(2), seconds=3)
        gate.open.set()
        await comes_through(bus, gate.handler, seconds=3)
        await eventually(lambda: accepted(bus, model_available()))
        await eventually(lambda: edge.messages)
        await bus.check()
    assert gate.cancelled == 0
    assert await RabbitStore(url).waiting(REPLIES) == 0


async def test_who_may_have_missed_events_is_told_once_its_queue_is_back(
    bus: RabbitBus, server: RabbitmqServer
) -> None:
    """An edge's own queue is gone with its connection, and with it what was published meanwhile."""
    edge, missed = Handler(), list[int]()
    queue = edge_queue("one")
    kinds = subscribed(queue, edge)[0].messages
    listening = Subscription(queue, kinds, edge, resumed=lambda: missed.append(len(edge.messages)))
    async with bus.consume([listening]):
        assert missed == []
        await asyncio.to_thread(server.control, "close_all_connections", "--global", "for a test")
        await eventually(lambda: missed)
        await eventually(lambda: accepted(bus, model_available()))
        await eventually(lambda: edge.messages)
    assert missed[0] == 0


async def test_handlers_of_lost_connections_do_not_pile_up(bus: RabbitBus, server: RabbitmqServer) -> None:
    gate = Gate()
    async with bus.consume(subscribed(REPLIES, gate.handler), drain=0):
        await bus.publish(generate_reply())
        for number in range(1, RECONNECTS + 3):
            reached = min(number, RECONNECTS)
            await eventually(gate.handler.has(reached))
            await asyncio.to_thread(server.control, "close_all_connections", "--global", "for a test")
            await eventually(lambda: accepted(bus, model_available()))
        assert gate.most == RECONNECTS
        gate.open.set()
        await comes_through(bus, gate.handler, seconds=5)


async def test_publishing_during_an_outage_is_refused_soon_and_works_afterwards(
    bus: RabbitBus, server: RabbitmqServer
) -> None:
    handler = Handler()
    async with bus.consume(subscribed(REPLIES, handler)):
        await asyncio.to_thread(server.settle)
        await asyncio.to_thread(server.kill)
        began = time.monotonic()
        tries = [bus.publish(generate_reply()) for _ in range(20)]
        errors = await asyncio.gather(*tries, return_exceptions=True)
        assert {type(one) for one in errors} == {Unavailable}
        assert time.monotonic() - began < READY_WITHIN + 1
        with pytest.raises(Unavailable):
            await bus.check()
        await asyncio.to_thread(server.start)
        await comes_through(bus, handler, seconds=3)
        await eventually(lambda: answers(bus))


async def test_leaving_during_an_outage_does_not_wait_for_the_broker(url: str, server: RabbitmqServer) -> None:
    gate = Gate()
    async with RabbitBus(url, source="test") as bus, bus.consume(subscribed(REPLIES, gate.handler), drain=0.1):
        await bus.publish(generate_reply())
        await eventually(lambda: gate.inside == 1)
        await asyncio.to_thread(server.settle)
        await asyncio.to_thread(server.kill)
        began = time.monotonic()
    assert time.monotonic() - began < 5
    assert gate.cancelled == 1
    await asyncio.to_thread(server.start)
    handler = Handler()
    async with RabbitBus(url, source="test") as bus, bus.consume(subscribed(REPLIES, handler)):
        await eventually(handler.has(1))
    assert handler.redelivered == [True]


async def test_a_frozen_broker_is_unavailable_in_time(bus: RabbitBus, server: RabbitmqServer) -> None:
    for group in server.pids:
        os.killpg(group, signal.SIGSTOP)
    try:
        began = time.monotonic()
        with pytest.raises(Unavailable):
            await bus.publish(generate_reply())
        assert time.monotonic() - began < PUBLISH_WITHIN + 1
        with pytest.raises(Unavailable):
            await bus.check()
    finally:
        for group in server.pids:
            os.killpg(group, signal.SIGCONT)
    handler = Handler()
    async with bus.consume(subscribed(REPLIES, handler)):
        await comes_through(bus, handler, seconds=10)


async def test_a_memory_alarm_refuses_publishers_and_lets_consumers_work(
    bus: RabbitBus, url: str, server: RabbitmqServer
) -> None:
    gate = Gate()
    before, at_the_alarm, during, after = (generate_reply() for _ in range(4))
    async with bus.consume(subscribed(REPLIES, gate.handler)):
        await bus.publish(before)
        await eventually(lambda: gate.inside == 1)
        await asyncio.to_thread(server.control, "set_vm_memory_high_watermark", "0.000001")
        try:
            began = time.monotonic()
            with pytest.raises(Unavailable):
                await bus.publish(at_the_alarm)
            assert time.monotonic() - began < PUBLISH_WITHIN + 1
            began = time.monotonic()
            with pytest.raises(Unavailable):
                await bus.publish(during)
            assert time.monotonic() - began < READY_WITHIN + 1  # it is known by now, and nothing is written
            gate.open.set()
            await eventually(lambda: gate.inside == 0)
        finally:
            await asyncio.to_thread(server.control, "set_vm_memory_high_watermark", "0.6")
        await eventually(lambda: answers(bus))
        await bus.publish(after)
        await eventually(gate.handler.has(3))
    # the one that was on its way when the alarm came arrives late: publishers are idempotent
    assert gate.handler.messages == [before, at_the_alarm, after]


async def test_a_consumer_that_the_broker_cancels_subscribes_again(
    bus: RabbitBus, url: str, server: RabbitmqServer
) -> None:
    handler = Handler()
    async with bus.consume(subscribed(REPLIES, handler)):
        await comes_through(bus, handler, seconds=3)
        await asyncio.to_thread(server.control, "delete_queue", REPLIES.name, "-p", url.split("/")[-1].split("?")[0])
        await comes_through(bus, handler, seconds=3)
