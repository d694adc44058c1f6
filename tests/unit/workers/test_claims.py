"""Inference: who claims, who waits, who closes."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta

import pytest

from contracts.commands import LANES, Lane
from contracts.errors import Unavailable
from contracts.events import ReplyCancelled, ReplyCompleted, ReplyFailed
from contracts.ports.backend import Text
from contracts.ports.streams import Answer, Run, Sealed
from tests.eventually import eventually
from tests.factories import completed
from tests.unit.workers.conftest import AcceptQuestion, StartInference
from tests.unit.workers.scripted import FaultyStreams, KeepingBus, ScriptedBackend, delivery, never, says
from workers.inference import control


async def test_a_claim_whose_answer_was_lost_is_claimed_over(
    inference: StartInference, accepted: AcceptQuestion, streams: FaultyStreams, bus: KeepingBus
) -> None:
    command = await accepted()
    backend = ScriptedBackend(says("Yes."))
    async with inference(backend) as worker:
        await streams.claim(command.question.generation_id, "worker-1")  # it never heard of it
        async with asyncio.timeout(2):
            await worker.generate_reply(command, delivery(command))
    (outcome,) = bus.published
    assert isinstance(outcome, ReplyCompleted)
    assert (outcome.attempt, len(backend.calls)) == (2, 1)
    log = streams.logs.by_id[command.question.generation_id]
    assert (log.state, log.deaths) == ("sealed", 0)  # not a clean run: history shows the end


async def test_while_another_holds_it_the_slots_are_for_others(
    inference: StartInference, accepted: AcceptQuestion, streams: FaultyStreams, bus: KeepingBus
) -> None:
    held, other, go = await accepted(), await accepted(), asyncio.Event()
    holder, backend = ScriptedBackend([go.wait, *says("Held.")]), ScriptedBackend(says("Free."), slots=1)
    async with inference(holder) as holding, inference(backend, worker="worker-2") as waiting:
        first = asyncio.create_task(holding.generate_reply(held, delivery(held)))
        await eventually(lambda: holder.running == 1)
        second = asyncio.create_task(waiting.generate_reply(held, delivery(held, redelivered=True)))
        await eventually(lambda: streams.calls.count("claim") > 1)
        await waiting.generate_reply(other, delivery(other))
        assert [one.question for one in bus.published] == [other.question]
        go.set()
        await asyncio.gather(first, second)
    assert len(backend.calls) == 1


async def test_what_another_held_for_a_while_keeps_its_place_in_the_line(
    inference: StartInference, accepted: AcceptQuestion, streams: FaultyStreams, bus: KeepingBus
) -> None:
    held, first, second, go = await accepted(), await accepted(), await accepted(), asyncio.Event()
    backend = ScriptedBackend([go.wait, *says("One.")], says("Two."), slots=1)
    async with streams.control("other"), inference(backend) as worker:
        run = await streams.claim(held.question.generation_id, "other")
        assert isinstance(run, Run)
        handling = [asyncio.create_task(worker.generate_reply(held, delivery(held, redelivered=True)))]
        await eventually(lambda: streams.calls.count("claim") == 2)
        handling += [asyncio.create_task(worker.generate_reply(one, delivery(one))) for one in (first, second)]
        await eventually(lambda: backend.running == 1)
        await streams.release(held.question.generation_id, run.epoch)
        await eventually(lambda: len(worker._slots._waiting) == 2)
        go.set()
        await asyncio.gather(*handling)
    assert [one.question for one in bus.published] == [one.question for one in (first, held, second)]


async def test_who_asks_one_question_goes_before_what_can_wait(
    inference: StartInference, accepted: AcceptQuestion, bus: KeepingBus
) -> None:
    commands = [await accepted(), *[await accepted(lane=lane) for lane in ("batch", "bulk", "interactive")]]
    go = asyncio.Event()
    backend = ScriptedBackend([go.wait, *says("One.")], says("Two."), slots=1)
    async with inference(backend) as worker:
        handling = [asyncio.create_task(worker.generate_reply(commands[0], delivery(commands[0])))]
        await eventually(lambda: backend.running == 1)
        handling += [asyncio.create_task(worker.generate_reply(one, delivery(one))) for one in commands[1:]]
        await eventually(lambda: len(worker._slots._waiting) == 3)
        go.set()
        await asyncio.gather(*handling)
    assert [one.question for one in bus.published[1:]] == [one.question for one in reversed(commands[1:])]


async def test_what_another_worker_ended_is_told_though_every_slot_is_taken(
    inference: StartInference, accepted: AcceptQuestion, streams: FaultyStreams, bus: KeepingBus
) -> None:
    ended, long = await accepted(), await accepted()
    run = await streams.claim(ended.question.generation_id, "dead")
    assert isinstance(run, Run)
    stands = completed(ended.question, "")
    await streams.seal(ended.question.generation_id, run.epoch, run.next, stands)
    backend = ScriptedBackend([never], slots=1)
    async with inference(backend) as worker:
        running = asyncio.create_task(worker.generate_reply(long, delivery(long)))
        await eventually(lambda: backend.running == 1)
        await worker.generate_reply(ended, delivery(ended, redelivered=True))
        assert bus.published == [stands]
        assert not running.done()
    await asyncio.gather(running, return_exceptions=True)


@pytest.mark.parametrize("lane", LANES)
async def test_what_waited_too_long_for_a_slot_never_runs(
    inference: StartInference, accepted: AcceptQuestion, bus: KeepingBus, lane: Lane
) -> None:
    long = await accepted()
    late = await accepted(lane=lane, starts_before=datetime.now(UTC) + timedelta(seconds=0.1))
    backend = ScriptedBackend([never], slots=1)
    async with inference(backend) as worker:
        running = asyncio.create_task(worker.generate_reply(long, delivery(long)))
        await eventually(lambda: backend.running == 1)
        await worker.generate_reply(late, delivery(late))
        assert len(backend.calls) == 1
        (outcome,) = bus.published
        assert isinstance(outcome, ReplyFailed)
        assert (outcome.question, outcome.code) == (late.question, "expired")
    await asyncio.gather(running, return_exceptions=True)


@pytest.mark.parametrize("lane", LANES)
async def test_what_was_cancelled_while_it_waited_never_reaches_a_backend(
    inference: StartInference, accepted: AcceptQuestion, streams: FaultyStreams, bus: KeepingBus, lane: Lane
) -> None:
    long, waits, go = await accepted(), await accepted(lane=lane), asyncio.Event()
    backend = ScriptedBackend([go.wait, *says("Yes.")], slots=1)
    async with inference(backend) as worker:
        running = asyncio.create_task(worker.generate_reply(long, delivery(long)))
        await eventually(lambda: backend.running == 1)
        waiting = asyncio.create_task(worker.generate_reply(waits, delivery(waits)))
        await asyncio.sleep(0)
        asked = ReplyCancelled(question=waits.question, ended_at=datetime.now(UTC))
        assert await streams.cancel(waits.question.owner, waits.question.generation_id, asked) == Sealed(asked)
        go.set()
        await asyncio.gather(running, waiting)
    assert len(backend.calls) == 1
    assert [one.question for one in bus.published if isinstance(one, ReplyCompleted)] == [long.question]


async def test_a_lease_that_another_epoch_took_closes_the_backend_and_claims_again(
    inference: StartInference,
    accepted: AcceptQuestion,
    streams: FaultyStreams,
    bus: KeepingBus,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(control, "RENEW_EVERY", 0.01)
    command = await accepted()
    backend = ScriptedBackend([Text("Lost"), never], says("Kept."))
    async with inference(backend) as worker:
        handling = asyncio.create_task(worker.generate_reply(command, delivery(command)))
        await eventually(lambda: streams.text(command.question.generation_id) == "Lost")
        streams.logs.by_id[command.question.generation_id].new_epoch()
        await handling
    assert backend.closed == len(backend.calls) == 2
    (outcome,) = bus.published
    assert isinstance(outcome, ReplyCompleted)
    assert outcome.text == "Kept." == streams.text(command.question.generation_id)


async def test_a_fenced_run_whose_delivery_went_to_somebody_else_is_dropped_for_good(
    inference: StartInference, accepted: AcceptQuestion, streams: FaultyStreams, bus: KeepingBus
) -> None:
    command, go = await accepted(), asyncio.Event()
    backend = ScriptedBackend([Text("Mine"), go.wait, Text(" too"), never])
    async with inference(backend) as worker:
        handling = asyncio.create_task(worker.generate_reply(command, delivery(command)))
        await eventually(lambda: streams.text(command.question.generation_id) == "Mine")
        handling.cancel()  # its channel was lost
        with suppress(asyncio.CancelledError):
            await handling
        streams.logs.by_id[command.question.generation_id].owner = None
        await streams.claim(command.question.generation_id, "worker-2")
        claims = streams.calls.count("claim")
        go.set()
        await eventually(lambda: backend.closed)
        await eventually(lambda: not worker._tasks._running)
    assert streams.calls.count("claim") == claims
    assert (len(backend.calls), bus.published) == (1, [])


def _gap(streams: FaultyStreams) -> None:
    del next(iter(streams.logs.by_id.values())).events[1:]


@pytest.mark.parametrize(
    "happens",
    [
        lambda streams: streams.faults.update(append=[Unavailable("Away.")]),
        lambda streams: streams.faults.update(seal=[Unavailable("Away.")]),
        lambda streams: streams.faults.update(renew=[Unavailable("Away.")]),
        lambda streams: streams.faults.update(append=[Answer.NOLOG]),
        lambda streams: streams.faults.update(seal=[lambda: _gap(streams)]),
    ],
    ids=["append lost", "seal lost", "renewal lost", "no log", "gap"],
)
async def test_only_a_run_to_which_nothing_happened_shows_its_end_itself(
    inference: StartInference,
    accepted: AcceptQuestion,
    streams: FaultyStreams,
    bus: KeepingBus,
    monkeypatch: pytest.MonkeyPatch,
    happens: Callable[[FaultyStreams], None],
) -> None:
    monkeypatch.setattr(control, "RENEW_EVERY", 0.01)
    command = await accepted()

    async def until_it_happened() -> None:
        await eventually(lambda: "renew" in streams.calls and not streams.faults.get("renew"))

    async with inference(ScriptedBackend([Text("Wh"), until_it_happened, *says("ole.")])) as worker:
        happens(streams)
        await worker.generate_reply(command, delivery(command))
    log = streams.logs.by_id[command.question.generation_id]
    assert (log.state, log.shown().text) == ("sealed", "Whole.")
    assert "close" not in streams.calls
    assert bus.published == [log.outcome]


async def test_a_redelivered_question_leaves_its_end_to_history(
    inference: StartInference, accepted: AcceptQuestion, streams: FaultyStreams
) -> None:
    command = await accepted()
    async with inference(ScriptedBackend(says("Yes."))) as worker:
        await worker.generate_reply(command, delivery(command, redelivered=True))
    assert streams.logs.by_id[command.question.generation_id].state == "sealed"
