"""What RabbitMQ alone shows: arguments, properties of messages, its own definitions file."""

import json
from collections.abc import Callable
from urllib.parse import urlsplit

import aio_pika
import pytest

from contracts.envelope import to_headers
from contracts.errors import Transient, Unavailable
from contracts.topology import CATALOG_COMMANDS, durable_queues, generate_reply_queue
from infra.rabbitmq.bus import RabbitBus
from infra.rabbitmq.connection import TopologyChanged
from infra.rabbitmq.definitions import FILE
from tests.contract.ports.handlers import REPLIES, Handler, failing, subscribed
from tests.eventually import eventually
from tests.factories import generate_reply
from tests.servers.rabbitmq import Management
from tests.servers.shared import free_port


async def test_entering_declares_every_durable_queue_with_the_topologys_arguments(
    new_rabbitmq_url: Callable[[], str], rabbitmq_url: str
) -> None:
    url, pools = new_rabbitmq_url(), ("default", "big")
    async with RabbitBus(url, source="test", pools=pools):
        virtual_host = urlsplit(url).path.removeprefix("/")
        found = Management(rabbitmq_url).get(f"/api/queues/{virtual_host}")
        assert isinstance(found, list)
        declared = {one["name"]: (one["durable"], one["arguments"]) for one in found}
    assert declared == {one.name: (True, one.broker_arguments()) for one in durable_queues(pools)}


async def test_the_definitions_file_makes_what_a_process_declares(
    new_rabbitmq_url: Callable[[], str], rabbitmq_url: str
) -> None:
    url = new_rabbitmq_url()
    virtual_host = urlsplit(url).path.removeprefix("/")
    loaded = json.loads(FILE.read_text())
    del loaded["vhosts"]
    for one in (*loaded["exchanges"], *loaded["queues"], *loaded["bindings"]):
        del one["vhost"]
    Management(rabbitmq_url).post(f"/api/definitions/{virtual_host}", loaded)
    handler = Handler()
    async with RabbitBus(url, source="test") as bus, bus.consume(subscribed(REPLIES, handler)):
        await bus.publish(generate_reply())
        await eventually(handler.has(1))


async def test_a_queue_of_other_arguments_is_said_in_a_sentence(new_rabbitmq_url: Callable[[], str]) -> None:
    url = new_rabbitmq_url()
    async with await aio_pika.connect(url) as connection, connection.channel() as channel:
        arguments = {**CATALOG_COMMANDS.broker_arguments(), "x-max-length": 7}
        await channel.declare_queue(CATALOG_COMMANDS.name, durable=True, arguments=arguments)  # pyright: ignore[reportArgumentType]
    with pytest.raises(TopologyChanged, match=r"x-max-length.*catalog\.commands.*under a name"):
        async with RabbitBus(url, source="test"):
            pass


@pytest.mark.parametrize("wrong", ["nobody listens", "password", "virtual host"])
async def test_entering_without_a_server_is_unavailable(wrong: str, new_rabbitmq_url: Callable[[], str]) -> None:
    url = new_rabbitmq_url()
    changed = {
        "nobody listens": f"amqp://guest:guest@127.0.0.1:{free_port()}/",
        "password": url.replace("guest:guest", "guest:wrong"),
        "virtual host": url.replace("?", "-missing?"),
    }
    with pytest.raises(Unavailable) as refused:
        async with RabbitBus(changed[wrong], source="test"):
            pass
    assert "guest:" not in str(refused.value)


async def test_a_message_is_a_persistent_cloudevent(new_rabbitmq_url: Callable[[], str]) -> None:
    url, command, handler = new_rabbitmq_url(), generate_reply(), Handler()
    async with RabbitBus(url, source="test") as bus:
        await bus.publish(command, expires_in=90.5)
        async with await aio_pika.connect(url) as connection, connection.channel() as channel:
            raw = await (await channel.get_queue(REPLIES.name)).get()
            await raw.nack(requeue=True)
        async with bus.consume(subscribed(REPLIES, handler)):
            await eventually(handler.has(1))
    envelope = handler.deliveries[0].envelope
    assert raw.message_id == envelope.id
    assert (raw.content_type, raw.delivery_mode, raw.expiration) == ("application/json", 2, 90.5)
    assert {name: value for name, value in raw.headers.items() if name.startswith("cloudEvents_")} == to_headers(
        envelope
    )
    assert command == type(command).model_validate_json(raw.body)


async def test_retries_in_place_use_up_nothing_of_the_delivery_limit(new_rabbitmq_url: Callable[[], str]) -> None:
    url, handler = new_rabbitmq_url(), failing(Transient("again"))
    async with RabbitBus(url, source="test") as bus:
        async with bus.consume(subscribed(REPLIES, handler), drain=0):
            await bus.publish(generate_reply())
            await eventually(handler.has(3))
        async with await aio_pika.connect(url) as connection, connection.channel() as channel:
            raw = await (await channel.get_queue(REPLIES.name)).get()
    assert raw.headers["x-delivery-count"] == 1  # the hand-over of leaving, before 4.3


async def test_processes_of_several_pools_share_a_broker(new_rabbitmq_url: Callable[[], str]) -> None:
    url, small, big = new_rabbitmq_url(), Handler(), Handler()
    async with (
        RabbitBus(url, source="edge") as edge,
        RabbitBus(url, source="worker", pools=("big",)) as worker,
        worker.consume(subscribed(generate_reply_queue("big"), big)),
        edge.consume(subscribed(REPLIES, small)),
    ):
        await edge.publish(generate_reply(pool="big"))
        await edge.publish(generate_reply())
        await eventually(big.has(1))
        await eventually(small.has(1))
    assert {one.deliveries[0].envelope.source for one in (small, big)} == {"edge"}
