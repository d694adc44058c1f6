"""The control channel: being there, and hearing what was said."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime

import pytest

from contracts.errors import Unavailable
from contracts.events import ReplyCancelled
from contracts.ports.backend import Text
from contracts.ports.streams import Cancel
from tests.eventually import eventually
from tests.unit.workers.conftest import AcceptQuestion, StartInference
from tests.unit.workers.scripted import FaultyStreams, KeepingBus, ScriptedBackend, delivery, never, says


class Losing(FaultyStreams):
    """Loses the subscription when told, as often as told."""

    def __init__(self) -> None:
        super().__init__()
        self.lose = asyncio.Event()
        self.refusals = 0
        self.subscriptions = 0

    @asynccontextmanager
    async def control(self, worker: str) -> AsyncGenerator[AsyncIterator[Cancel], None]:
        if self.refusals:
            self.refusals -= 1
            raise Unavailable("Nobody answers.")
        async with super().control(worker):
            self.subscriptions += 1
            yield self._until_lost()

    async def _until_lost(self) -> AsyncGenerator[Cancel, None]:
        await self.lose.wait()
        self.lose.clear()
        raise Unavailable("The line was cut.")
        yield


@pytest.fixture
async def streams() -> AsyncGenerator[Losing, None]:
    async with Losing() as opened:
        yield opened


async def test_a_cancel_that_came_while_nobody_listened_is_seen_on_coming_back(
    inference: StartInference, accepted: AcceptQuestion, streams: Losing, bus: KeepingBus
) -> None:
    command = await accepted()
    async with inference(ScriptedBackend([Text("One"), never])) as worker:
        handling = asyncio.create_task(worker.generate_reply(command, delivery(command)))
        await eventually(lambda: streams.text(command.question.generation_id) == "One")
        asked = ReplyCancelled(question=command.question, ended_at=datetime.now(UTC))
        await streams.cancel(command.question.owner, command.question.generation_id, asked)
        streams.refusals = 1
        streams.lose.set()
        await handling
    assert isinstance(bus.published[0], ReplyCancelled)
    assert "close" not in streams.calls  # a lost subscription counts as a lost connection: history shows the end


async def test_nothing_is_claimed_while_the_process_looks_dead(
    inference: StartInference, accepted: AcceptQuestion, streams: Losing, bus: KeepingBus
) -> None:
    command = await accepted()
    async with inference(ScriptedBackend(says("Yes."))) as worker:
        streams.refusals = 2
        streams.lose.set()
        await eventually(lambda: streams.refusals == 1)
        handling = asyncio.create_task(worker.generate_reply(command, delivery(command)))
        await asyncio.sleep(0)
        assert "claim" not in streams.calls
        await handling
    assert streams.subscriptions == 2
    assert len(bus.published) == 1


async def test_a_subscription_lost_while_claiming_leaves_the_end_to_history(
    inference: StartInference, accepted: AcceptQuestion, streams: Losing, bus: KeepingBus
) -> None:
    command = await accepted()
    claims = streams.claim

    async def claim(*args: object, **named: object) -> object:
        run = await claims(*args, **named)
        streams.lose.set()
        await eventually(lambda: streams.subscriptions == 2)
        return run

    streams.claim = claim
    async with inference(ScriptedBackend(says("Yes."))) as worker:
        await worker.generate_reply(command, delivery(command))
    assert len(bus.published) == 1
    assert "close" not in streams.calls


async def test_a_log_that_vanished_is_written_again_as_soon_as_the_subscription_is_back(
    inference: StartInference, accepted: AcceptQuestion, streams: Losing
) -> None:
    command = await accepted()
    async with inference(ScriptedBackend([Text("One"), never])) as worker:
        handling = asyncio.create_task(worker.generate_reply(command, delivery(command)))
        await eventually(lambda: streams.text(command.question.generation_id) == "One")
        streams.logs.by_id.clear()  # the server came back empty
        streams.lose.set()
        await eventually(lambda: streams.text(command.question.generation_id) == "One", seconds=1)
    await asyncio.gather(handling, return_exceptions=True)


async def test_a_worker_does_not_start_without_its_control_channel(inference: StartInference, streams: Losing) -> None:
    streams.refusals = 1
    with pytest.raises(Unavailable):
        async with inference(ScriptedBackend(says("Yes."))):
            pass
