"""Beats and service times: what a worker tells the pool's line."""

import asyncio
from collections.abc import AsyncGenerator

import pytest

from contracts.errors import Unavailable
from tests.eventually import eventually
from tests.unit.workers.conftest import AcceptQuestion, StartInference
from tests.unit.workers.scripted import FaultyStreams, KeepingBus, ScriptedBackend, delivery, never, says
from workers.inference import beats
from workers.inference.beats import UNTOLD, Beats


class Told(FaultyStreams):
    """Notes what it was told. `mute`: service times are never answered."""

    def __init__(self) -> None:
        super().__init__()
        self.slots: list[tuple[str, str, int]] = []
        self.times: list[tuple[str, str, float]] = []
        self.mute = False

    async def beat(self, pool: str, worker: str, slots: int) -> None:
        await super().beat(pool, worker, slots)
        self.slots.append((pool, worker, slots))

    async def served(self, pool: str, model: str, ms: float) -> None:
        if self.mute:
            await never()
        await super().served(pool, model, ms)
        self.times.append((pool, model, ms))


@pytest.fixture
async def streams() -> AsyncGenerator[Told, None]:
    async with Told() as opened:
        yield opened


async def test_a_worker_says_how_many_slots_it_has_from_its_start_to_its_end(
    inference: StartInference, streams: Told
) -> None:
    async with inference(ScriptedBackend(says(), slots=3), ScriptedBackend(says(), name="two", slots=2)):
        await eventually(lambda: streams.slots)
        assert (await streams.line("default")).slots == 5
    assert streams.slots[0] == ("default", "worker-1", 5)
    assert streams.slots[-1] == ("default", "worker-1", 0)
    assert (await streams.line("default")).slots == 0


async def test_a_worker_that_stops_taking_says_so_at_once(inference: StartInference, streams: Told) -> None:
    async with inference(ScriptedBackend(says())) as worker:
        await eventually(lambda: streams.slots)
        worker.stop_taking()
        await eventually(lambda: streams.slots[-1][2] == 0, seconds=1)


async def test_beats_go_on_after_one_was_missed(streams: Told, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(beats, "EVERY", 0.01)
    streams.faults["beat"] = [Unavailable("Nobody answers.")]
    async with Beats(streams, "default", "worker-1", lambda: 4):
        await eventually(lambda: len(streams.slots) > 2)


async def test_streams_that_never_answer_do_not_hold_up_the_end(streams: Told, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(beats, "LAST_WORD", 0.01)
    streams.mute = True
    streams.faults["beat"] = [Unavailable("Nobody answers.")] * 100
    async with asyncio.timeout(2), Beats(streams, "default", "worker-1", lambda: 4) as beating:
        for _ in range(UNTOLD * 3):
            beating.served("small", 1.0)
        assert len(asyncio.all_tasks()) < UNTOLD * 2


async def test_how_long_a_generation_held_its_slot_is_told(
    inference: StartInference, accepted: AcceptQuestion, streams: Told
) -> None:
    command = await accepted()
    async with inference(ScriptedBackend([lambda: asyncio.sleep(0.05), *says("Yes.")])) as worker:
        await worker.generate_reply(command, delivery(command))
        await eventually(lambda: streams.times)
    ((pool, model, ms),) = streams.times
    assert (pool, model) == ("default", "small")
    assert 50 <= ms < 5000
    assert (await streams.line("default")).service_ms == {"small": pytest.approx(ms)}


async def test_what_never_ran_tells_no_time(inference: StartInference, accepted: AcceptQuestion, streams: Told) -> None:
    unknown, known = await accepted(), await accepted()
    one, two = ScriptedBackend(says("No."), name="one"), ScriptedBackend(says("No."), name="two")
    one.serves = two.serves = ()
    async with inference(one, two) as worker:
        await worker.generate_reply(unknown, delivery(unknown))
    async with inference(ScriptedBackend(says("Yes."))) as worker:
        await worker.generate_reply(known, delivery(known))
        await eventually(lambda: streams.times)
    assert len(streams.times) == 1


async def test_an_ending_does_not_wait_for_its_service_time(
    inference: StartInference, accepted: AcceptQuestion, streams: Told, bus: KeepingBus
) -> None:
    command = await accepted()
    streams.mute = True
    async with inference(ScriptedBackend(says("Yes."))) as worker:
        await worker.generate_reply(command, delivery(command))
        assert streams.names(command.question.generation_id)[-1] == "completed"
        assert len(bus.published) == 1
