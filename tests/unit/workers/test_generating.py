"""Inference: given a command, what stands in the log and what is published."""

import asyncio
from datetime import UTC, datetime, timedelta

from contracts.errors import BackendFailed
from contracts.events import ReplyCancelled, ReplyCompleted, ReplyFailed
from contracts.generation import MAX_TEXT_BYTES, Completed, ToolCallData, Usage
from contracts.ports.backend import CallTool, Done, Text, ThinkingText
from tests.eventually import eventually
from tests.unit.workers.conftest import AcceptQuestion, StartInference
from tests.unit.workers.scripted import FaultyStreams, KeepingBus, ScriptedBackend, delivery, never, says

UNREACHABLE = BackendFailed("backend_unreachable", "Nobody listens there.")
CUT = BackendFailed("backend_cut", "The line was cut.")


async def test_tokens_stand_in_the_log_in_their_order_and_the_outcome_has_their_text(
    inference: StartInference, accepted: AcceptQuestion, streams: FaultyStreams, bus: KeepingBus
) -> None:
    command = await accepted()
    async with inference(ScriptedBackend(says("Ray", "leigh", " scattering", "."))) as worker:
        await worker.generate_reply(command, delivery(command))
    generation_id = command.question.generation_id
    assert streams.names(generation_id)[:2] == ["accepted", "started"]
    assert streams.text(generation_id) == "Rayleigh scattering."
    (outcome,) = bus.published
    assert isinstance(outcome, ReplyCompleted)
    assert (outcome.text, outcome.attempt, outcome.backend) == ("Rayleigh scattering.", 1, "one")
    assert outcome.question == command.question
    assert outcome.usage == Usage(input_tokens=3, output_tokens=4)


async def test_the_log_ends_under_the_id_that_the_outcome_names(
    inference: StartInference, accepted: AcceptQuestion, streams: FaultyStreams, bus: KeepingBus
) -> None:
    command = await accepted()
    async with inference(ScriptedBackend(says("Yes."))) as worker:
        await worker.generate_reply(command, delivery(command))
    log = streams.logs.by_id[command.question.generation_id]
    assert isinstance(streams.events(command.question.generation_id)[-1], Completed)
    assert isinstance(bus.published[0], ReplyCompleted)
    assert bus.published[0].last_event_id == log.last_id
    assert command.question.owner not in streams.logs.live or not streams.logs.live[command.question.owner]


async def test_the_outcome_is_on_the_bus_before_the_end_is_shown(
    inference: StartInference, accepted: AcceptQuestion, streams: FaultyStreams, bus: KeepingBus
) -> None:
    command = await accepted()
    shown_at_publishing: list[bool] = []

    class Watching(KeepingBus):
        async def publish(self, message: object, *, expires_in: float | None = None) -> None:
            shown_at_publishing.append("completed" in streams.names(command.question.generation_id))

    async with inference(ScriptedBackend(says("Yes.")), bus=Watching()) as worker:
        await worker.generate_reply(command, delivery(command))
    assert shown_at_publishing == [False]
    assert streams.names(command.question.generation_id)[-1] == "completed"


async def test_thinking_and_tool_calls_reach_log_and_outcome(
    inference: StartInference, accepted: AcceptQuestion, streams: FaultyStreams, bus: KeepingBus
) -> None:
    call = ToolCallData(id="1", name="weather", arguments={"city": "Graz"})
    script = [ThinkingText("Hm."), Text("Let me see."), CallTool(call), Done("tool_calls", Usage())]
    command = await accepted()
    async with inference(ScriptedBackend(script)) as worker:
        await worker.generate_reply(command, delivery(command))
    assert streams.names(command.question.generation_id) == [
        "accepted", "started", "thinking", "token", "tool_call", "completed",
    ]  # fmt: skip
    (outcome,) = bus.published
    assert isinstance(outcome, ReplyCompleted)
    assert (outcome.thinking, outcome.tool_calls, outcome.finish_reason) == ("Hm.", (call,), "tool_calls")


async def test_a_cancel_in_mid_stream_closes_the_backend_and_keeps_what_was_said(
    inference: StartInference, accepted: AcceptQuestion, streams: FaultyStreams, bus: KeepingBus
) -> None:
    command = await accepted()
    backend = ScriptedBackend([Text("One"), never])
    async with inference(backend) as worker:
        handling = asyncio.create_task(worker.generate_reply(command, delivery(command)))
        await eventually(lambda: streams.text(command.question.generation_id) == "One")
        asked = ReplyCancelled(question=command.question, ended_at=datetime.now(UTC))
        await streams.cancel(command.question.owner, command.question.generation_id, asked)
        await handling
    assert backend.closed == 1
    (outcome,) = bus.published
    assert isinstance(outcome, ReplyCancelled)
    assert outcome.text == "One"
    assert streams.names(command.question.generation_id)[-1] == "cancelled"


async def test_three_tries_before_the_first_token(
    inference: StartInference, accepted: AcceptQuestion, streams: FaultyStreams, bus: KeepingBus
) -> None:
    command = await accepted()
    backend = ScriptedBackend([UNREACHABLE], [UNREACHABLE], says("At last."))
    async with inference(backend) as worker:
        await worker.generate_reply(command, delivery(command))
    assert len(backend.calls) == 3
    assert streams.names(command.question.generation_id) == ["accepted", "started", "token", "completed"]


async def test_after_three_tries_it_fails_with_the_backends_code(
    inference: StartInference, accepted: AcceptQuestion, streams: FaultyStreams, bus: KeepingBus
) -> None:
    command = await accepted()
    backend = ScriptedBackend([UNREACHABLE])
    async with inference(backend) as worker:
        await worker.generate_reply(command, delivery(command))
    assert len(backend.calls) == 3
    (outcome,) = bus.published
    assert isinstance(outcome, ReplyFailed)
    assert (outcome.code, outcome.retryable, outcome.text) == ("backend_unreachable", True, "")
    assert streams.names(command.question.generation_id) == ["accepted", "started", "failed"]


async def test_a_backends_own_refusal_is_not_tried_again(
    inference: StartInference, accepted: AcceptQuestion, bus: KeepingBus
) -> None:
    command = await accepted()
    backend = ScriptedBackend([BackendFailed("backend_error", "Bad request.", retryable=False)])
    async with inference(backend) as worker:
        await worker.generate_reply(command, delivery(command))
    assert len(backend.calls) == 1
    assert isinstance(bus.published[0], ReplyFailed)


async def test_the_next_try_goes_to_another_backend_that_serves_the_model(
    inference: StartInference, accepted: AcceptQuestion, bus: KeepingBus
) -> None:
    command = await accepted()
    one, two = ScriptedBackend([UNREACHABLE], name="one"), ScriptedBackend(says("Here."), name="two")
    async with inference(one, two) as worker:
        await worker.generate_reply(command, delivery(command))
    assert isinstance(bus.published[0], ReplyCompleted)
    assert bus.published[0].backend == "two"


async def test_a_line_cut_in_mid_stream_begins_again_once_and_says_so(
    inference: StartInference, accepted: AcceptQuestion, streams: FaultyStreams, bus: KeepingBus
) -> None:
    command = await accepted()
    backend = ScriptedBackend([Text("Half"), CUT], says("Whole."))
    async with inference(backend) as worker:
        await worker.generate_reply(command, delivery(command))
    assert streams.names(command.question.generation_id) == [
        "accepted", "started", "token", "restarted", "started", "token", "completed",
    ]  # fmt: skip
    assert isinstance(bus.published[0], ReplyCompleted)
    assert bus.published[0].text == "Whole." == streams.text(command.question.generation_id)


async def test_a_line_cut_twice_fails_with_one_code(
    inference: StartInference, accepted: AcceptQuestion, streams: FaultyStreams, bus: KeepingBus
) -> None:
    command = await accepted()
    backend = ScriptedBackend([Text("Half"), CUT])
    async with inference(backend) as worker:
        await worker.generate_reply(command, delivery(command))
    assert len(backend.calls) == 2
    (outcome,) = bus.published
    assert isinstance(outcome, ReplyFailed)
    assert (outcome.code, outcome.text) == ("backend_cut", "Half")
    assert streams.names(command.question.generation_id)[-1] == "failed"


async def test_a_generation_that_takes_too_long_fails_and_closes_the_backend(
    inference: StartInference, accepted: AcceptQuestion, bus: KeepingBus
) -> None:
    command = await accepted()
    backend = ScriptedBackend([Text("One"), never])
    async with inference(backend, generation_timeout=0.05) as worker:
        await worker.generate_reply(command, delivery(command))
    assert backend.closed == 1
    (outcome,) = bus.published
    assert isinstance(outcome, ReplyFailed)
    assert (outcome.code, outcome.text) == ("generation_timeout", "One")


async def test_the_backend_gets_the_time_outs_of_the_settings(
    inference: StartInference, accepted: AcceptQuestion
) -> None:
    command = await accepted()
    backend = ScriptedBackend(says("Yes."))
    async with inference(backend, first_token_timeout=7, token_timeout=3) as worker:
        await worker.generate_reply(command, delivery(command))
    assert (backend.calls[0].first_token_timeout, backend.calls[0].token_timeout) == (7, 3)


async def test_a_question_that_waited_too_long_is_told_as_expired(
    inference: StartInference, accepted: AcceptQuestion, streams: FaultyStreams, bus: KeepingBus
) -> None:
    command = await accepted(starts_before=datetime.now(UTC) - timedelta(seconds=1))
    backend = ScriptedBackend(says("Too late."))
    async with inference(backend) as worker:
        await worker.generate_reply(command, delivery(command))
    assert backend.calls == []
    (outcome,) = bus.published
    assert isinstance(outcome, ReplyFailed)
    assert outcome.code == "expired"
    assert streams.logs.by_id[command.question.generation_id].state == "sealed"  # history shows the end


async def test_a_model_that_no_backend_has_fails_as_unknown(
    inference: StartInference, accepted: AcceptQuestion, bus: KeepingBus
) -> None:
    command = await accepted()
    one, two = ScriptedBackend(says("No."), name="one"), ScriptedBackend(says("No."), name="two")
    one.serves = two.serves = ("large",)
    async with inference(one, two) as worker:
        await worker.generate_reply(command, delivery(command))
    (outcome,) = bus.published
    assert isinstance(outcome, ReplyFailed)
    assert (outcome.code, outcome.retryable) == ("unknown_model", False)


async def test_no_backend_runs_more_than_its_slots(
    inference: StartInference, accepted: AcceptQuestion, bus: KeepingBus
) -> None:
    commands = [await accepted() for _ in range(6)]
    backend = ScriptedBackend(says(*"abcdefgh"), slots=2)
    async with inference(backend) as worker:
        await asyncio.gather(*(worker.generate_reply(one, delivery(one)) for one in commands))
    assert len(bus.published) == 6
    assert backend.most_running == 2


async def test_a_reply_of_more_than_a_mebibyte_ends_as_long(
    inference: StartInference, accepted: AcceptQuestion, streams: FaultyStreams, bus: KeepingBus
) -> None:
    command = await accepted()
    piece = "x" * 65_536
    async with inference(ScriptedBackend([Text(piece)] * 20 + [Done("stop", Usage())])) as worker:
        await worker.generate_reply(command, delivery(command))
    (outcome,) = bus.published
    assert isinstance(outcome, ReplyCompleted)
    assert outcome.finish_reason == "length"
    assert len(outcome.text) <= MAX_TEXT_BYTES
    assert outcome.text == streams.text(command.question.generation_id)
