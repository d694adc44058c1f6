"""Dead letters on RabbitMQ, where a copy says why: with or without it a message that dies is never lost, and looks the same."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from datetime import UTC, datetime

import aio_pika
import pytest
from aio_pika import IncomingMessage
from structlog.testing import capture_logs

from contracts.errors import Permanent, Unavailable
from contracts.ports.bus import DeadMessage
from contracts.topology import DEAD
from infra.rabbitmq.bus import RabbitBus
from infra.rabbitmq.letters import MOST_HEADERS
from tests.contract.ports.buses import RabbitStore
from tests.contract.ports.handlers import REPLIES, Graveyard, buried, failing, subscribed
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


class Silent(RabbitBus):
    """It cannot publish letters."""

    async def _bury(self, queue: str, message: IncomingMessage, why: str) -> None:
        raise Unavailable("No confirm in time.")


async def letter(bus: RabbitBus) -> DeadMessage:
    graveyard = Graveyard()
    async with bus.consume(buried(graveyard)):
        await eventually(graveyard.has(1))
    return graveyard.letters[0]


async def refused(bus: RabbitBus, url: str, message: aio_pika.Message) -> DeadMessage:
    """The letter of a message that some program put into the queue."""
    async with await aio_pika.connect(url) as connection, connection.channel() as channel:
        await channel.default_exchange.publish(message, REPLIES.name)
    async with bus.consume(subscribed(REPLIES, failing(Permanent("no")))):
        return await letter(bus)


async def test_with_or_without_its_reason_a_letter_is_the_same(new_url: Callable[[], str]) -> None:
    command, letters = generate_reply(), []
    for kind in (RabbitBus, Silent):
        async with (
            kind(new_url(), source="test") as bus,
            bus.consume(subscribed(REPLIES, failing(Permanent("It is wrong.")))),
        ):
            await bus.publish(command)
            letters.append(await letter(bus))
    told, silent = letters
    assert {**told.attributes, "time": ""} == {**silent.attributes, "time": ""}
    assert (told.body, told.queue, told.reason) == (silent.body, silent.queue, silent.reason)
    assert (told.why, silent.why) == ("It is wrong.", None)
    assert (told.deliveries, silent.deliveries) == (1, 0)  # `reject` does not tell
    assert abs((silent.at - told.at).total_seconds()) < 30


async def test_a_message_with_too_many_headers_dies_without_a_word_and_hurts_nobody(bus: RabbitBus, url: str) -> None:
    large = {f"h{number}": "é" * 1000 for number in range(MOST_HEADERS // 2000 + 1)}
    dead = await refused(bus, url, aio_pika.Message(b"{}", headers=large))  # type: ignore[arg-type]
    assert (dead.body, dead.queue, dead.reason, dead.why) == (b"{}", REPLIES.name, "rejected", None)
    await bus.publish(generate_reply())  # over the connection that a larger frame would have ended


async def test_a_message_of_any_kind_keeps_its_body_and_attributes(bus: RabbitBus, url: str) -> None:
    headers = {
        "cloudEvents_id": bytearray(b"\xff1"), "cloudEvents_type": 7, "cloudEvents_x": {"a": [1, None]}, "n": [{"deep": True}],
        "cloudEvents_time": datetime(2026, 1, 2, tzinfo=UTC), "x-death": "nonsense", "x-delivery-count": "none",
    }  # fmt: skip
    message = aio_pika.Message(
        b"\x00\xff", headers=headers, user_id="guest", reply_to="somebody", expiration=60, priority=3,  # type: ignore[arg-type]
    )  # fmt: skip
    dead = await refused(bus, url, message)
    assert dead.body == b"\x00\xff"
    assert (dead.queue, dead.reason) == (REPLIES.name, "rejected")
    assert dead.why == "A message came without valid CloudEvents attributes."
    assert dead.attributes == {
        "id": "bytearray(b'\\xff1')", "type": "7", "x": "{'a': [1, None]}", "time": "2026-01-02 00:00:00+00:00"
    }  # fmt: skip


async def test_what_reaches_the_delivery_limit_is_a_letter(bus: RabbitBus, url: str) -> None:
    command = generate_reply()
    await bus.publish(command)
    async with await aio_pika.connect(url) as connection, connection.channel() as channel:
        queue = await channel.get_queue(REPLIES.name)
        for _ in range(REPLIES.delivery_limit + 1):
            message = await queue.get(timeout=5)
            await message.nack(requeue=True)
    dead = await letter(bus)
    assert (dead.queue, dead.reason, dead.why) == (REPLIES.name, "delivery_limit", None)
    assert dead.body == command.model_dump_json().encode()


def subjects(graveyard: Graveyard) -> set[str]:
    return {one.attributes["subject"] for one in graveyard.letters}


async def test_connections_that_end_while_messages_die_lose_none(
    bus: RabbitBus, url: str, server: RabbitmqServer
) -> None:
    commands = [generate_reply() for _ in range(20)]
    for one in commands:
        await bus.publish(one)
    graveyard, handler = Graveyard(), failing(Permanent("no"))
    with capture_logs():  # a traceback takes longer to draw than a message to die
        async with bus.consume(subscribed(REPLIES, handler, concurrency=4) + buried(graveyard)):
            for number in (5, 10, 15):
                await eventually(lambda least=number: len(handler.messages) >= least)
                await asyncio.to_thread(server.control, "close_all_connections", "test")
            await eventually(lambda: subjects(graveyard) == {one.subject for one in commands}, 30)
    store = RabbitStore(url)
    assert (await store.waiting(REPLIES), await store.waiting(DEAD)) == (0, 0)
