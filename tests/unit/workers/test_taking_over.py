"""Inference: deliveries that come again, workers that die or stop, logs that vanish."""

import asyncio
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

import pytest

from contracts.errors import HandOver, Unavailable
from contracts.events import ReplyCancelled, ReplyCompleted
from contracts.generation import Restarted, encode_text
from contracts.ports.backend import Text
from contracts.ports.streams import Answer, Run
from infra.sqlite.bus import SqliteBus
from tests.eventually import eventually
from tests.factories import completed
from tests.unit.workers.conftest import AcceptQuestion, StartInference
from tests.unit.workers.scripted import FaultyStreams, KeepingBus, ScriptedBackend, delivery, never, says
from workers.inference.intake import Intake


async def _dead_worker(streams: FaultyStreams, generation_id: str, *texts: str) -> Run:
    """A worker that claimed, wrote this and was killed."""
    run = await streams.claim(generation_id, "dead")
    assert isinstance(run, Run)
    events = [(encode_text("token", one), 1) for one in texts]
    await streams.append(generation_id, run.epoch, run.next, events)
    return run


async def test_a_takeover_voids_what_was_shown_and_leaves_the_end_to_history(
    inference: StartInference, accepted: AcceptQuestion, streams: FaultyStreams, bus: KeepingBus
) -> None:
    command = await accepted()
    generation_id = command.question.generation_id
    await _dead_worker(streams, generation_id, "Hal", "f")
    async with inference(ScriptedBackend(says("Whole."))) as worker:
        await worker.generate_reply(command, delivery(command, redelivered=True))
    assert streams.names(generation_id) == [
        "accepted", "token", "token", "restarted", "started", "token",
    ]  # fmt: skip
    restarted = streams.events(generation_id)[3]
    assert isinstance(restarted, Restarted)
    assert (restarted.attempt, restarted.reason) == (2, "worker_lost")
    (outcome,) = bus.published
    assert isinstance(outcome, ReplyCompleted)
    assert (outcome.text, outcome.attempt) == ("Whole.", 2)
    assert streams.logs.by_id[generation_id].state == "sealed"


async def test_a_takeover_of_a_cancelled_generation_keeps_what_was_shown(
    inference: StartInference, accepted: AcceptQuestion, streams: FaultyStreams, bus: KeepingBus
) -> None:
    command = await accepted()
    generation_id = command.question.generation_id
    await _dead_worker(streams, generation_id, "Hal", "f")
    asked = ReplyCancelled(question=command.question, ended_at=datetime.now(UTC))
    await streams.cancel(command.question.owner, generation_id, asked)
    backend = ScriptedBackend(says("No."))
    async with inference(backend) as worker:
        await worker.generate_reply(command, delivery(command, redelivered=True))
    assert backend.calls == []
    (outcome,) = bus.published
    assert isinstance(outcome, ReplyCancelled)
    assert outcome.text == "Half" == streams.text(generation_id)


async def test_a_delivery_that_comes_again_waits_for_the_run_that_is_under_way(
    inference: StartInference, accepted: AcceptQuestion, bus: KeepingBus
) -> None:
    command, go = await accepted(), asyncio.Event()
    backend = ScriptedBackend([Text("One"), go.wait, *says(" two.")])
    async with inference(backend) as worker:
        first = asyncio.create_task(worker.generate_reply(command, delivery(command)))
        await eventually(lambda: backend.running == 1)
        first.cancel()  # its channel was lost
        with suppress(asyncio.CancelledError):
            await first
        second = asyncio.create_task(worker.generate_reply(command, delivery(command, redelivered=True)))
        go.set()
        await second
    assert len(backend.calls) == 1
    (outcome,) = bus.published
    assert isinstance(outcome, ReplyCompleted)
    assert (outcome.text, outcome.attempt) == ("One two.", 1)


async def test_while_another_worker_holds_it_the_delivery_waits(
    inference: StartInference, accepted: AcceptQuestion, streams: FaultyStreams, bus: KeepingBus
) -> None:
    command, go = await accepted(), asyncio.Event()
    holder, other = ScriptedBackend([Text("One"), go.wait, *says(".")]), ScriptedBackend(says("Another."))
    async with inference(holder) as holding, inference(other, worker="worker-2") as waiting:
        first = asyncio.create_task(holding.generate_reply(command, delivery(command)))
        await eventually(lambda: holder.running == 1)
        second = asyncio.create_task(waiting.generate_reply(command, delivery(command, redelivered=True)))
        await eventually(lambda: streams.calls.count("claim") > 1)
        go.set()
        await asyncio.gather(first, second)
    assert other.calls == []
    assert len(bus.published) == 1


async def test_a_worker_that_stops_hands_over_and_another_answers(
    inference: StartInference, accepted: AcceptQuestion, streams: FaultyStreams, bus: KeepingBus
) -> None:
    command = await accepted()
    stopping, other = ScriptedBackend([Text("Half"), never]), ScriptedBackend(says("Whole."))
    async with inference(stopping) as worker:
        handling = asyncio.create_task(worker.generate_reply(command, delivery(command)))
        await eventually(lambda: streams.text(command.question.generation_id) == "Half")
    with pytest.raises(HandOver):
        await handling
    assert stopping.closed == 1
    assert streams.logs.by_id[command.question.generation_id].owner is None
    async with inference(other, worker="worker-2") as worker:
        await worker.generate_reply(command, delivery(command, redelivered=True))
    assert isinstance(bus.published[0], ReplyCompleted)
    assert bus.published[0].text == "Whole." == streams.text(command.question.generation_id)


async def test_draining_the_bus_gives_the_question_to_the_next_worker(
    inference: StartInference, accepted: AcceptQuestion, streams: FaultyStreams, tmp_path: Path
) -> None:
    command = await accepted()
    backend = ScriptedBackend([Text("Half"), never], says("Whole."))
    async with SqliteBus(tmp_path / "bus", source="test") as bus:
        await bus.publish(command)
        async with inference(backend, bus=bus) as worker, Intake(bus, worker, "default", drain=0.05):
            await eventually(lambda: streams.text(command.question.generation_id) == "Half")
        async with inference(backend, bus=bus, worker="next") as worker, Intake(bus, worker, "default"):
            await eventually(lambda: streams.logs.by_id[command.question.generation_id].state == "sealed")
    assert streams.text(command.question.generation_id) == "Whole."
    assert len(backend.calls) == 2


async def test_a_fenced_run_is_dropped_and_claimed_again_while_the_delivery_is_ours(
    inference: StartInference, accepted: AcceptQuestion, streams: FaultyStreams, bus: KeepingBus
) -> None:
    command = await accepted()
    streams.faults["append"] = [Answer.FENCED]
    backend = ScriptedBackend([Text("Lost"), never], says("Kept."))
    async with inference(backend) as worker:
        await worker.generate_reply(command, delivery(command))
    assert backend.closed == 2
    (outcome,) = bus.published
    assert isinstance(outcome, ReplyCompleted)
    assert (outcome.text, outcome.attempt) == ("Kept.", 2)


async def test_a_sealed_outcome_is_published_again_and_nothing_is_run(
    inference: StartInference, accepted: AcceptQuestion, streams: FaultyStreams, bus: KeepingBus
) -> None:
    command = await accepted()
    run = await _dead_worker(streams, command.question.generation_id, "Done.")
    stands = completed(command.question, "Done.")
    await streams.seal(command.question.generation_id, run.epoch, run.next + 1, stands)
    backend = ScriptedBackend(says("No."))
    async with inference(backend) as worker:
        await worker.generate_reply(command, delivery(command, redelivered=True))
    assert backend.calls == []
    assert bus.published == [stands]
    assert "close" not in streams.calls


async def test_a_closed_generation_is_acked_without_a_word(
    inference: StartInference, accepted: AcceptQuestion, streams: FaultyStreams, bus: KeepingBus
) -> None:
    command = await accepted()
    backend = ScriptedBackend(says("Once."))
    async with inference(backend) as worker:
        await worker.generate_reply(command, delivery(command))
        await worker.generate_reply(command, delivery(command, redelivered=True))
    assert len(backend.calls) == 1
    assert len(bus.published) == 1


async def test_a_log_that_is_gone_is_begun_again_from_the_command(
    inference: StartInference, accepted: AcceptQuestion, streams: FaultyStreams, bus: KeepingBus
) -> None:
    command = await accepted()
    streams.logs.by_id.clear()
    async with inference(ScriptedBackend(says("Yes."))) as worker:
        await worker.generate_reply(command, delivery(command, redelivered=True))
    assert streams.names(command.question.generation_id) == ["accepted", "restarted", "started", "token"]
    assert isinstance(bus.published[0], ReplyCompleted)
    assert streams.logs.by_id[command.question.generation_id].state == "sealed"  # history decides how it ends


async def test_a_log_lost_in_mid_stream_does_not_lose_the_reply(
    inference: StartInference, accepted: AcceptQuestion, streams: FaultyStreams, bus: KeepingBus
) -> None:
    command, go = await accepted(), asyncio.Event()
    async with inference(ScriptedBackend([Text("One"), go.wait, *says(" two", ".")])) as worker:
        handling = asyncio.create_task(worker.generate_reply(command, delivery(command)))
        await eventually(lambda: streams.text(command.question.generation_id) == "One")
        streams.logs.by_id.clear()
        go.set()
        await handling
    (outcome,) = bus.published
    assert isinstance(outcome, ReplyCompleted)
    assert outcome.text == "One two."
    assert "close" not in streams.calls


async def test_streams_that_are_away_for_a_moment_lose_and_repeat_nothing(
    inference: StartInference, accepted: AcceptQuestion, streams: FaultyStreams, bus: KeepingBus
) -> None:
    command = await accepted()
    away = Unavailable("Nobody answers.")
    streams.faults = {"claim": [away], "append": [away, away], "seal": [away]}
    async with inference(ScriptedBackend(says(*"abcdef"))) as worker:
        await worker.generate_reply(command, delivery(command))
    assert streams.text(command.question.generation_id) == "abcdef"
    assert isinstance(bus.published[0], ReplyCompleted)
    assert "close" not in streams.calls  # history shows the end


async def test_an_outcome_is_published_again_until_it_stands(
    inference: StartInference, accepted: AcceptQuestion, streams: FaultyStreams
) -> None:
    command, away = await accepted(), Unavailable("The broker is down.")
    bus = KeepingBus(away, away)
    async with inference(ScriptedBackend(says("Yes.")), bus=bus) as worker:
        await worker.generate_reply(command, delivery(command))
    assert len(bus.published) == 1
    assert streams.names(command.question.generation_id)[-1] == "completed"


async def test_a_cancel_that_came_before_the_seal_wins(
    inference: StartInference, accepted: AcceptQuestion, streams: FaultyStreams, bus: KeepingBus
) -> None:
    command = await accepted()
    streams.faults["seal"] = [Answer.CANCELLED]
    async with inference(ScriptedBackend(says("Said."))) as worker:
        await worker.generate_reply(command, delivery(command))
    (outcome,) = bus.published
    assert isinstance(outcome, ReplyCancelled)
    assert outcome.text == "Said."
    assert streams.names(command.question.generation_id)[-1] == "cancelled"
