"""Inference: a worker that is asked to end."""

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from contracts.errors import HandOver, Unavailable
from contracts.events import ReplyCompleted
from contracts.ports.backend import Text
from contracts.ports.streams import Held, Run
from infra.sqlite.bus import SqliteBus
from tests.eventually import eventually
from tests.unit.workers.conftest import AcceptQuestion, StartInference
from tests.unit.workers.scripted import FaultyStreams, KeepingBus, ScriptedBackend, delivery, never, says
from workers.inference.intake import Intake


async def test_what_the_backend_said_last_stands_in_the_log_before_it_is_let_go(
    inference: StartInference, accepted: AcceptQuestion, streams: FaultyStreams
) -> None:
    command, said = await accepted(), asyncio.Event()
    away = Unavailable("Nobody answers.")

    async def last_words() -> None:
        await eventually(lambda: streams.text(command.question.generation_id) == "One")
        streams.faults["append"] = [away, away]  # the next append takes a moment

    async def hangs() -> None:
        said.set()
        await never()

    async with inference(ScriptedBackend([Text("One"), last_words, Text(" two"), Text(" three"), hangs])) as worker:
        handling = asyncio.create_task(worker.generate_reply(command, delivery(command)))
        await said.wait()
    with pytest.raises(HandOver):
        await handling
    assert streams.text(command.question.generation_id) == "One two three"
    assert streams.calls.index("release") > len(streams.calls) - 1 - streams.calls[::-1].index("append")
    assert streams.logs.by_id[command.question.generation_id].owner is None


async def test_streams_that_are_away_hold_up_a_hand_over_for_a_moment_only(
    inference: StartInference, accepted: AcceptQuestion, streams: FaultyStreams
) -> None:
    command = await accepted()
    streams.faults = {"append": [Unavailable("Gone.")] * 1000, "release": [Unavailable("Gone.")]}
    backend = ScriptedBackend([Text("One"), never])
    async with inference(backend) as worker:
        handling = asyncio.create_task(worker.generate_reply(command, delivery(command)))
        await eventually(lambda: backend.running == 1)
        before = asyncio.get_running_loop().time()
    assert asyncio.get_running_loop().time() - before < 3  # what a process has for its last breath
    with pytest.raises(HandOver):
        await handling


async def test_a_generation_is_let_go_before_its_delivery_is(
    inference: StartInference, accepted: AcceptQuestion, streams: FaultyStreams
) -> None:
    command = await accepted()
    async with inference(ScriptedBackend([Text("Half"), never])) as worker:
        handling = asyncio.create_task(worker.generate_reply(command, delivery(command)))
        await eventually(lambda: streams.text(command.question.generation_id) == "Half")
        worker.stop_taking()
        handling.cancel()  # the drain is over: now the bus gives the delivery to somebody else
        with pytest.raises(asyncio.CancelledError):
            await handling
        assert isinstance(await streams.claim(command.question.generation_id, "next"), Run)


async def test_while_it_does_not_stop_a_lost_channel_lets_nothing_go(
    inference: StartInference, accepted: AcceptQuestion, streams: FaultyStreams
) -> None:
    command = await accepted()
    async with inference(ScriptedBackend([Text("Half"), never])) as worker:
        handling = asyncio.create_task(worker.generate_reply(command, delivery(command)))
        await eventually(lambda: streams.text(command.question.generation_id) == "Half")
        handling.cancel()
        with pytest.raises(asyncio.CancelledError):
            await handling
        assert isinstance(await streams.claim(command.question.generation_id, "next"), Held)


async def test_what_waits_for_a_slot_is_handed_over_while_what_runs_may_end(
    inference: StartInference, accepted: AcceptQuestion, streams: FaultyStreams, bus: KeepingBus
) -> None:
    running, waiting, go = await accepted(), await accepted(), asyncio.Event()
    backend = ScriptedBackend([go.wait, *says("Yes.")], slots=1)
    async with inference(backend) as worker:
        first = asyncio.create_task(worker.generate_reply(running, delivery(running)))
        await eventually(lambda: backend.running == 1)
        second = asyncio.create_task(worker.generate_reply(waiting, delivery(waiting)))
        await asyncio.sleep(0)
        worker.stop_taking()
        with pytest.raises(HandOver):
            await second
        assert streams.logs.by_id[waiting.question.generation_id].state == "accepted"
        with pytest.raises(HandOver):
            await worker.generate_reply(waiting, delivery(waiting, redelivered=True))
        go.set()
        await first
    assert [one.question for one in bus.published] == [running.question]
    assert len(backend.calls) == 1


async def test_asked_to_end_it_finishes_what_it_can_and_the_next_one_answers_the_rest(
    inference: StartInference, accepted: AcceptQuestion, streams: FaultyStreams, tmp_path: Path
) -> None:
    short, long = await accepted(), await accepted()
    backend = ScriptedBackend(
        [Text("Sho"), lambda: asyncio.sleep(0.1), *says("rt.")], [Text("Half"), never], says("Whole.")
    )
    async with SqliteBus(tmp_path / "bus", source="test") as bus:
        await bus.publish(short)
        async with inference(backend, bus=bus) as worker, Intake(bus, worker, "default", drain=1):
            await eventually(lambda: streams.text(short.question.generation_id) == "Sho")
            await bus.publish(long)
            await eventually(lambda: streams.text(long.question.generation_id) == "Half")
            worker.stop_taking()
        assert streams.text(short.question.generation_id) == "Short."
        assert streams.logs.by_id[long.question.generation_id].owner is None
        async with inference(backend, bus=bus, worker="next") as worker, Intake(bus, worker, "default"):
            await eventually(lambda: streams.logs.by_id[long.question.generation_id].state == "sealed")
    assert streams.text(long.question.generation_id) == "Whole."
    assert len(backend.calls) == 3


async def test_what_is_past_its_hard_deadline_does_not_run_on_after_a_takeover(
    inference: StartInference, accepted: AcceptQuestion, streams: FaultyStreams, bus: KeepingBus
) -> None:
    command = await accepted(deadline=datetime.now(UTC) + timedelta(seconds=0.05))
    run = await streams.claim(command.question.generation_id, "dead")
    assert isinstance(run, Run)
    backend = ScriptedBackend(says("Too late."))
    async with inference(backend) as worker:
        await eventually(lambda: datetime.now(UTC) > command.deadline)
        await worker.generate_reply(command, delivery(command, redelivered=True))
    assert backend.calls == []
    (outcome,) = bus.published
    assert not isinstance(outcome, ReplyCompleted)
    assert outcome.code == "expired"
