"""Queues of a pool that comes while the bus runs."""

from pathlib import Path

import pytest

from contracts.commands import GenerateReply
from contracts.errors import Unroutable
from contracts.ports.bus import Delivery, Subscription
from contracts.topology import generate_reply_queue
from infra.sqlite.bus import SqliteBus
from tests.eventually import eventually
from tests.factories import generate_reply


async def test_a_pools_questions_are_taken_once_it_is_there_and_wait_for_it_over_a_restart(tmp_path: Path) -> None:
    asked = generate_reply(pool="large")
    async with SqliteBus(tmp_path / "bus", source="test") as bus:
        with pytest.raises(Unroutable):
            await bus.publish(asked)
        await bus.add_pool("large")
        await bus.publish(asked)
    handled: list[GenerateReply] = []

    async def handle(command: GenerateReply, delivery: Delivery) -> None:
        handled.append(command)

    queue = generate_reply_queue("large", asked.lane)
    subscription = Subscription(queue=queue, messages=(GenerateReply,), handle=handle, concurrency=1, retry_for=1.0)
    async with SqliteBus(tmp_path / "bus", source="test") as bus:
        await bus.add_pool("large")
        await bus.add_pool("large")
        async with bus.consume([subscription]):
            await eventually(lambda: handled == [asked])
