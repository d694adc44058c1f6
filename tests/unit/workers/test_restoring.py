"""Inference: a log that is lost while its worker lives is written again, whole, under the ids that followers know."""

import asyncio

from contracts.errors import Unavailable
from contracts.events import ReplyCancelled, ReplyCompleted
from contracts.generation import decode, encode_text
from contracts.ports.backend import Text
from contracts.ports.streams import Answer, LogEvent, Run
from tests.eventually import eventually
from tests.unit.workers.conftest import AcceptQuestion, StartInference
from tests.unit.workers.scripted import FaultyStreams, KeepingBus, ScriptedBackend, Step, delivery, never, says


def _stood(streams: FaultyStreams, generation_id: str) -> list[LogEvent]:
    """What stands in the log, each with its id."""
    log = streams.logs.get(generation_id)
    return [] if log is None else list(log.events)


def _loses(streams: FaultyStreams) -> Step:
    """A step at which everything is lost, once it stands in the log."""

    async def lose() -> None:
        await eventually(lambda: any(log.text_bytes for log in streams.logs.by_id.values()))
        streams.lost = list(next(iter(streams.logs.by_id.values())).events)
        streams.logs.by_id.clear()

    return lose


async def test_a_log_that_is_lost_in_mid_stream_is_written_again_under_the_same_ids(
    inference: StartInference, accepted: AcceptQuestion, streams: FaultyStreams, bus: KeepingBus
) -> None:
    command = await accepted()
    backend = ScriptedBackend([Text("One"), _loses(streams), *says(" two", ".")])
    async with inference(backend) as worker:
        await worker.generate_reply(command, delivery(command))
    generation_id = command.question.generation_id
    stands = _stood(streams, generation_id)
    assert len(streams.lost) == 3
    assert stands[:3] == streams.lost
    assert [one.tokens for one in stands[:3]] == [0, 0, 1]
    assert streams.text(generation_id) == "One two."
    assert len(backend.calls) == 1
    (outcome,) = bus.published
    assert isinstance(outcome, ReplyCompleted)
    assert (outcome.text, outcome.attempt) == ("One two.", 1)


async def test_a_run_whose_log_was_lost_is_sealed_but_leaves_the_end_to_history(
    inference: StartInference, accepted: AcceptQuestion, streams: FaultyStreams, bus: KeepingBus
) -> None:
    command = await accepted()
    async with inference(ScriptedBackend([Text("One"), _loses(streams), *says(" two.")])) as worker:
        await worker.generate_reply(command, delivery(command))
    log = streams.logs.by_id[command.question.generation_id]
    assert (log.state, log.outcome) == ("sealed", bus.published[0])
    assert "close" not in streams.calls


async def test_a_log_that_is_lost_before_anything_was_said_begins_with_accepted_again(
    inference: StartInference, accepted: AcceptQuestion, streams: FaultyStreams
) -> None:
    command = await accepted()
    (first,) = _stood(streams, command.question.generation_id)
    streams.faults["append"] = [streams.logs.by_id.clear]
    async with inference(ScriptedBackend(says("Yes."))) as worker:
        await worker.generate_reply(command, delivery(command))
    generation_id = command.question.generation_id
    assert _stood(streams, generation_id)[0] == first
    assert streams.names(generation_id) == ["accepted", "started", "token"]


async def test_a_log_that_is_lost_before_the_seal_is_written_again_and_sealed(
    inference: StartInference, accepted: AcceptQuestion, streams: FaultyStreams, bus: KeepingBus
) -> None:
    command = await accepted()
    streams.faults["seal"] = [streams.logs.by_id.clear]
    async with inference(ScriptedBackend(says("All", " of it."))) as worker:
        await worker.generate_reply(command, delivery(command))
    log = streams.logs.by_id[command.question.generation_id]
    assert (log.state, log.outcome) == ("sealed", bus.published[0])
    assert streams.text(command.question.generation_id) == "All of it."
    assert "close" not in streams.calls


async def test_restoring_is_tried_until_the_streams_answer(
    inference: StartInference, accepted: AcceptQuestion, streams: FaultyStreams, bus: KeepingBus
) -> None:
    command = await accepted()
    streams.faults["restore"] = [Unavailable("Loading."), Unavailable("Loading.")]
    async with inference(ScriptedBackend([Text("One"), _loses(streams), *says(" two.")])) as worker:
        await worker.generate_reply(command, delivery(command))
    assert streams.text(command.question.generation_id) == "One two."
    assert streams.calls.count("restore") == 1
    assert len(bus.published) == 1


async def test_a_lost_log_that_somebody_began_anew_fences_the_run(
    inference: StartInference, accepted: AcceptQuestion, streams: FaultyStreams, bus: KeepingBus
) -> None:
    command = await accepted()
    generation_id = command.question.generation_id

    async def somebody_else() -> None:
        await eventually(lambda: streams.text(generation_id) == "Mine")
        streams.logs.by_id.clear()
        await streams.create(command.question, starts_before=command.starts_before, deadline=command.deadline)
        await streams.claim(generation_id, "dead")
        streams.faults["append"] = [Answer.NOLOG]  # as it was answered before that

    backend = ScriptedBackend([Text("Mine"), somebody_else, Text(" too"), never], says("Anew."))
    async with inference(backend) as worker:
        await worker.generate_reply(command, delivery(command))
    assert backend.closed == len(backend.calls) == 2
    assert "renew" not in streams.calls  # nor was it the lease that told
    (outcome,) = bus.published
    assert isinstance(outcome, ReplyCompleted)
    assert outcome.text == "Anew." == streams.text(generation_id)


async def test_what_earlier_attempts_wrote_is_restored_with_it(
    inference: StartInference, accepted: AcceptQuestion, streams: FaultyStreams, bus: KeepingBus
) -> None:
    command = await accepted()
    generation_id = command.question.generation_id
    run = await streams.claim(generation_id, "dead")
    assert isinstance(run, Run)
    await streams.append(generation_id, run.epoch, run.next, [(encode_text("token", "Half"), 7)])
    before = _stood(streams, generation_id)
    async with inference(ScriptedBackend([Text("One"), _loses(streams), *says(" two.")])) as worker:
        await worker.generate_reply(command, delivery(command, redelivered=True))
    stands = _stood(streams, generation_id)
    assert stands[:2] == before
    assert stands[1].tokens == 7
    assert streams.names(generation_id) == ["accepted", "token", "restarted", "started", "token", "token"]
    assert len({one.id for one in stands}) == len(stands)
    assert isinstance(bus.published[0], ReplyCompleted)
    assert bus.published[0].text == "One two." == streams.text(generation_id)


async def test_a_restored_log_still_knows_that_it_was_cancelled(
    inference: StartInference, accepted: AcceptQuestion, streams: FaultyStreams, bus: KeepingBus
) -> None:
    command = await accepted()
    run = await streams.claim(command.question.generation_id, "dead")
    assert isinstance(run, Run)
    await streams.append(command.question.generation_id, run.epoch, run.next, [(encode_text("token", "Half"), 1)])
    streams.logs.by_id[command.question.generation_id].cancel = True
    streams.faults["seal"] = [streams.logs.by_id.clear]
    backend = ScriptedBackend(says("No."))
    async with inference(backend) as worker:
        await worker.generate_reply(command, delivery(command, redelivered=True))
    assert backend.calls == []
    assert streams.logs.by_id[command.question.generation_id].cancel
    (outcome,) = bus.published
    assert isinstance(outcome, ReplyCancelled)
    assert outcome.text == "Half" == streams.text(command.question.generation_id)


async def test_a_log_lost_between_the_claim_and_reading_it_is_begun_anew_before_anything_runs(
    inference: StartInference, accepted: AcceptQuestion, streams: FaultyStreams, bus: KeepingBus
) -> None:
    command = await accepted()
    generation_id = command.question.generation_id
    run = await streams.claim(generation_id, "dead")
    assert isinstance(run, Run)
    await streams.append(generation_id, run.epoch, run.next, [(encode_text("token", "Half"), 1)])
    streams.faults["read"] = [streams.logs.by_id.clear]
    backend = ScriptedBackend(says("Whole."))
    async with inference(backend) as worker:
        await worker.generate_reply(command, delivery(command, redelivered=True))
    assert len(backend.calls) == 1
    assert streams.names(generation_id) == ["accepted", "restarted", "started", "token"]
    assert isinstance(bus.published[0], ReplyCompleted)


async def test_a_log_whose_earlier_part_is_gone_is_claimed_again_and_told_as_it_is(
    inference: StartInference, accepted: AcceptQuestion, streams: FaultyStreams, bus: KeepingBus
) -> None:
    command = await accepted()
    generation_id = command.question.generation_id
    run = await streams.claim(generation_id, "dead")
    assert isinstance(run, Run)
    await streams.append(generation_id, run.epoch, run.next, [(encode_text("token", one), 1) for one in "abc"])

    async def shorter() -> None:
        await eventually(lambda: streams.text(generation_id) == "One")
        log = streams.logs.by_id[generation_id]
        log.events = log.events[:2]
        log.text_bytes = 1

    backend = ScriptedBackend([Text("One"), shorter, Text(" two"), never], says("Whole."))
    async with inference(backend) as worker:
        await worker.generate_reply(command, delivery(command, redelivered=True))
    assert backend.closed == len(backend.calls) == 2
    assert streams.text(generation_id) == "Whole."
    assert streams.names(generation_id)[-3:] == ["restarted", "started", "token"]
    assert isinstance(bus.published[0], ReplyCompleted)


async def test_a_log_that_lost_only_its_tail_is_filled_from_memory(
    inference: StartInference, accepted: AcceptQuestion, streams: FaultyStreams, bus: KeepingBus
) -> None:
    command = await accepted()
    generation_id = command.question.generation_id

    async def shorter() -> None:
        await eventually(lambda: streams.text(generation_id) == "One")
        del streams.logs.by_id[generation_id].events[1:]

    async with inference(ScriptedBackend([Text("One"), shorter, *says(" two.")])) as worker:
        await worker.generate_reply(command, delivery(command))
    assert [decode(one.encoded).event for one in _stood(streams, generation_id)] == [
        "accepted", "started", "token", "token",
    ]  # fmt: skip
    assert streams.text(generation_id) == "One two."
    assert "close" not in streams.calls  # history shows the end
    assert len(bus.published) == 1


async def test_a_lost_log_is_noticed_by_the_lease_while_the_model_is_silent(
    inference: StartInference, accepted: AcceptQuestion, streams: FaultyStreams
) -> None:
    command, go = await accepted(), asyncio.Event()
    backend = ScriptedBackend([Text("One"), _loses(streams), go.wait, *says(" two.")])
    async with inference(backend) as worker:
        handling = asyncio.create_task(worker.generate_reply(command, delivery(command)))
        await eventually(lambda: "restore" in streams.calls)
        assert streams.text(command.question.generation_id) == "One"
        go.set()
        await handling
    assert streams.text(command.question.generation_id) == "One two."
