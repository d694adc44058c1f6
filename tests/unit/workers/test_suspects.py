"""Inference: questions that may have killed workers."""

import asyncio

import pytest

from contracts.commands import GenerateReply
from contracts.errors import HandOver
from contracts.events import ReplyCompleted, ReplyFailed
from contracts.ports.backend import Text
from contracts.ports.streams import Run
from tests.eventually import eventually
from tests.unit.workers.conftest import AcceptQuestion, StartInference
from tests.unit.workers.scripted import FaultyStreams, KeepingBus, ScriptedBackend, delivery, never, says
from workers.inference.suspects import Suspects


async def _dies_at(streams: FaultyStreams, command: GenerateReply, worker: str) -> None:
    """A worker claims it and is killed before it says a word."""
    assert isinstance(await streams.claim(command.question.generation_id, worker), Run)


async def test_a_question_that_two_workers_died_of_is_told_as_quarantined_and_runs_no_more(
    inference: StartInference, accepted: AcceptQuestion, streams: FaultyStreams, bus: KeepingBus
) -> None:
    command = await accepted()
    await _dies_at(streams, command, "dead-1")
    await _dies_at(streams, command, "dead-2")
    backend = ScriptedBackend(says("No."))
    async with inference(backend) as worker:
        await worker.generate_reply(command, delivery(command, redelivered=True))
    assert backend.calls == []
    (outcome,) = bus.published
    assert isinstance(outcome, ReplyFailed)
    assert (outcome.code, outcome.retryable, outcome.attempt) == ("quarantined", False, 2)
    assert streams.logs.by_id[command.question.generation_id].state == "sealed"


async def test_a_question_that_one_worker_died_of_is_answered(
    inference: StartInference, accepted: AcceptQuestion, streams: FaultyStreams, bus: KeepingBus
) -> None:
    command = await accepted()
    await _dies_at(streams, command, "dead")
    async with inference(ScriptedBackend(says("Yes."))) as worker:
        await worker.generate_reply(command, delivery(command, redelivered=True))
    assert isinstance(bus.published[0], ReplyCompleted)


async def test_a_worker_runs_one_suspect_at_a_time_and_everybody_else_beside_it(
    inference: StartInference, accepted: AcceptQuestion, streams: FaultyStreams, bus: KeepingBus
) -> None:
    suspects, innocent = [await accepted() for _ in range(3)], await accepted()
    for one in suspects:
        await _dies_at(streams, one, "dead")
    go = asyncio.Event()
    backend = ScriptedBackend([go.wait, *says("Alive.")], slots=4)
    async with inference(backend) as worker:
        handling = [
            asyncio.create_task(worker.generate_reply(one, delivery(one, redelivered=True))) for one in suspects
        ]
        await eventually(lambda: streams.calls.count("claim") > 8)  # the three of before, one that runs, some that wait
        assert backend.running == 1
        handling.append(asyncio.create_task(worker.generate_reply(innocent, delivery(innocent))))
        await eventually(lambda: backend.running == 2)
        go.set()
        await asyncio.gather(*handling)
    assert len(bus.published) == 4
    assert all(isinstance(one, ReplyCompleted) for one in bus.published)


async def test_a_suspect_that_waits_for_another_takes_no_slot(
    inference: StartInference, accepted: AcceptQuestion, streams: FaultyStreams, bus: KeepingBus
) -> None:
    first, second, innocent = await accepted(), await accepted(), await accepted()
    for one in (first, second):
        await _dies_at(streams, one, "dead")
    backend = ScriptedBackend([never], [Text("Quick."), *says()], slots=2)
    async with inference(backend) as worker:
        handling = [asyncio.create_task(worker.generate_reply(one, delivery(one))) for one in (first, second)]
        await eventually(lambda: backend.running == 1 and streams.calls.count("claim") > 4)
        await worker.generate_reply(innocent, delivery(innocent))
        assert [one.question for one in bus.published] == [innocent.question]
    assert all(isinstance(one, HandOver) for one in await asyncio.gather(*handling, return_exceptions=True))


async def test_a_suspect_runs_beside_innocent_ones_that_take_long(
    inference: StartInference, accepted: AcceptQuestion, streams: FaultyStreams, bus: KeepingBus
) -> None:
    innocent, suspect = await accepted(), await accepted()
    await _dies_at(streams, suspect, "dead")
    backend = ScriptedBackend([never], says("Alive."), slots=2)
    async with inference(backend) as worker:
        running = asyncio.create_task(worker.generate_reply(innocent, delivery(innocent)))
        await eventually(lambda: backend.running == 1)
        async with asyncio.timeout(5):
            await worker.generate_reply(suspect, delivery(suspect, redelivered=True))
        assert not running.done()
    assert [one.question for one in bus.published] == [suspect.question]
    assert isinstance((await asyncio.gather(running, return_exceptions=True))[0], HandOver)


async def test_once_a_suspect_ended_the_next_one_runs(
    inference: StartInference, accepted: AcceptQuestion, streams: FaultyStreams, bus: KeepingBus
) -> None:
    commands = [await accepted() for _ in range(3)]
    for one in commands:
        await _dies_at(streams, one, "dead")
    backend = ScriptedBackend(says("Alive."))
    async with inference(backend) as worker:
        await asyncio.gather(*(worker.generate_reply(one, delivery(one, redelivered=True)) for one in commands))
    assert len(bus.published) == 3
    assert backend.most_running == 1


def test_of_claims_under_way_at_once_one_may_take_a_suspect() -> None:
    suspects = Suspects()
    with suspects.chance() as first, suspects.chance() as second:
        assert (first.suspects, second.suspects) == (True, False)
        first.claimed(0)
        with suspects.chance() as third:
            assert third.suspects
            third.claimed(1)
            with suspects.chance() as fourth:
                assert not fourth.suspects
        with suspects.chance() as fifth:
            assert fifth.suspects


def test_a_claim_that_failed_leaves_the_chance_to_the_next() -> None:
    suspects = Suspects()
    with pytest.raises(RuntimeError), suspects.chance():
        raise RuntimeError("The claim failed.")
    with suspects.chance() as next_one:
        assert next_one.suspects
