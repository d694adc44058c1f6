"""Inference: a run goes on from text that followers have seen, or begins again; two runs are never spliced."""

import asyncio
from datetime import UTC, datetime

import pytest

from contracts.commands import SamplingOptions
from contracts.errors import BackendFailed
from contracts.events import Outcome, ReplyCancelled, ReplyCompleted, ReplyFailed
from contracts.generation import (
    MAX_TEXT_BYTES,
    Restarted,
    Started,
    Token,
    ToolCall,
    Usage,
    encode,
    encode_text,
)
from contracts.ports.backend import Done, Piece, Text
from contracts.ports.streams import Run
from contracts.records import Probe
from tests.eventually import eventually
from tests.unit.workers.conftest import AcceptQuestion, StartInference
from tests.unit.workers.scripted import FaultyStreams, KeepingBus, KeepingProbes, ScriptedBackend, Step, delivery, never
from workers.inference.continuing import Straddling

UNREACHABLE = BackendFailed("backend_unreachable", "Nobody listens there.")
CUT = BackendFailed("backend_cut", "The line was cut.")
REFUSED = BackendFailed("backend_error", "Unknown parameter.", retryable=False)


def known(*backends: str, continues: bool = True) -> KeepingProbes:
    """Each of these back-ends was probed."""
    fields = {"model": "small", "digest": None, "continues": continues, "probed_at": datetime.now(UTC)}
    return KeepingProbes(*(Probe.model_validate({"backend": one, **fields}) for one in backends or ("one",)))


def rest(*texts: str, reason: str = "stop", read: int = 0) -> list[Step]:
    """A run that says these pieces, having read so many tokens."""
    return [*map(Text, texts), Done(reason, Usage(input_tokens=read, output_tokens=len(texts)))]


async def dead_worker(
    streams: FaultyStreams,
    generation_id: str,
    *texts: str,
    backend: str = "one",
    more: tuple[tuple[bytes, int], ...] = (),
) -> Run:
    """A worker that wrote this and was killed."""
    run = await streams.claim(generation_id, "dead")
    assert isinstance(run, Run)
    started = encode(Started(attempt=run.attempt, model="small", backend=backend)), 0
    events = [started, *((encode_text("token", one), 1) for one in texts), *more]
    await streams.append(generation_id, run.epoch, run.next, events)
    return run


def outcome_of(bus: KeepingBus) -> Outcome:
    (outcome,) = bus.published
    assert isinstance(outcome, ReplyCompleted | ReplyFailed | ReplyCancelled)
    return outcome


async def test_a_takeover_goes_on_from_what_was_shown(
    inference: StartInference, accepted: AcceptQuestion, streams: FaultyStreams, bus: KeepingBus
) -> None:
    command = await accepted()
    generation_id = command.question.generation_id
    await dead_worker(streams, generation_id, "Ray", "leigh ")
    backend = ScriptedBackend(rest("scat", "tering.", read=12))
    async with inference(backend, probes=known()) as worker:
        await worker.generate_reply(command, delivery(command, redelivered=True))
    assert streams.names(generation_id) == ["accepted", "started", "token", "token", "started", "token", "token"]
    again = streams.events(generation_id)[4]
    assert isinstance(again, Started)
    assert again.attempt == 2
    assert backend.calls[0].said == "Rayleigh "
    outcome = outcome_of(bus)
    assert isinstance(outcome, ReplyCompleted)
    assert outcome.text == "Rayleigh scattering." == streams.text(generation_id)
    assert (outcome.attempt, outcome.finish_reason) == (2, "stop")
    # the question once: 12 were read, 2 of them the beginning; 4 said, by both
    assert outcome.usage == Usage(input_tokens=10, output_tokens=4, spent_output_tokens=4)


async def test_tokens_are_counted_over_all_attempts(
    inference: StartInference, accepted: AcceptQuestion, streams: FaultyStreams, bus: KeepingBus
) -> None:
    command = await accepted()
    generation_id = command.question.generation_id
    await dead_worker(streams, generation_id, "a", "b", "c")
    void = (encode(Restarted(attempt=2, reason="worker_lost")), 0)
    texts = [(encode_text("token", "Hel"), 2), (encode_text("token", "lo"), 1)]
    await dead_worker(streams, generation_id, more=(void, *texts))
    async with inference(ScriptedBackend(rest(" you.", read=9)), probes=known()) as worker:
        await worker.generate_reply(command, delivery(command, redelivered=True))
    outcome = outcome_of(bus)
    assert (outcome.text, outcome.attempt) == ("Hello you.", 3)
    assert outcome.usage == Usage(input_tokens=6, output_tokens=4, spent_output_tokens=7)


async def test_a_restart_counts_what_was_void(
    inference: StartInference, accepted: AcceptQuestion, streams: FaultyStreams, bus: KeepingBus
) -> None:
    command = await accepted()
    await dead_worker(streams, command.question.generation_id, "a", "b", "c")
    async with inference(ScriptedBackend(rest("One", " two.", read=5)), probes=known(continues=False)) as worker:
        await worker.generate_reply(command, delivery(command, redelivered=True))
    outcome = outcome_of(bus)
    assert outcome.text == "One two."
    assert outcome.usage == Usage(input_tokens=5, output_tokens=2, spent_output_tokens=5)


async def test_one_attempt_spends_what_it_says(
    inference: StartInference, accepted: AcceptQuestion, bus: KeepingBus
) -> None:
    command = await accepted()
    async with inference(ScriptedBackend(rest("One.", read=5)), probes=known()) as worker:
        await worker.generate_reply(command, delivery(command))
    assert outcome_of(bus).usage == Usage(input_tokens=5, output_tokens=1, spent_output_tokens=None)


@pytest.mark.parametrize(
    "changes",
    [
        {"think": True}, {"format": "json"}, {"format": {"type": "object"}}, {"tools": ({"type": "function"},)},
        {"options": SamplingOptions(seed=7)},
    ],
    ids=str,
)  # fmt: skip
async def test_what_may_not_go_on_begins_again(
    inference: StartInference,
    accepted: AcceptQuestion,
    streams: FaultyStreams,
    bus: KeepingBus,
    changes: dict[str, object],
) -> None:
    command = (await accepted()).model_copy(update=changes)
    await dead_worker(streams, command.question.generation_id, "Half")
    await begins_again(inference, streams, bus, command, known())


@pytest.mark.parametrize(
    "shown",
    [
        (encode_text("thinking", "Hm."), 1),
        (encode(ToolCall(id="1", name="weather", arguments={})), 0),
    ],
    ids=["thinking", "tool_call"],
)
async def test_thinking_and_calls_that_were_shown_begin_again(
    inference: StartInference,
    accepted: AcceptQuestion,
    streams: FaultyStreams,
    bus: KeepingBus,
    shown: tuple[bytes, int],
) -> None:
    command = await accepted()
    await dead_worker(streams, command.question.generation_id, "Half", more=(shown,))
    await begins_again(inference, streams, bus, command, known())


@pytest.mark.parametrize(
    "probes", [KeepingProbes(), known(continues=False), None], ids=["never probed", "does not go on", "switched off"]
)
async def test_a_model_that_is_not_known_to_go_on_begins_again(
    inference: StartInference,
    accepted: AcceptQuestion,
    streams: FaultyStreams,
    bus: KeepingBus,
    probes: KeepingProbes | None,
) -> None:
    command = await accepted()
    await dead_worker(streams, command.question.generation_id, "Half")
    await begins_again(inference, streams, bus, command, probes)


async def test_text_of_another_workers_back_end_without_digest_begins_again(
    inference: StartInference, accepted: AcceptQuestion, streams: FaultyStreams, bus: KeepingBus
) -> None:
    command = await accepted()
    await dead_worker(streams, command.question.generation_id, "Half", backend="elsewhere")
    await begins_again(inference, streams, bus, command, known("one", "elsewhere"))


async def begins_again(
    inference: StartInference, streams: FaultyStreams, bus: KeepingBus, command: object, probes: KeepingProbes | None
) -> None:
    backend = ScriptedBackend(rest("Whole."))
    async with inference(backend, probes=probes) as worker:
        await worker.generate_reply(command, delivery(command, redelivered=True))  # type: ignore[arg-type]
    assert backend.calls[0].said == ""
    outcome = outcome_of(bus)
    assert outcome.text == "Whole." == streams.text(outcome.question.generation_id)
    names = streams.names(outcome.question.generation_id)
    assert names[names.index("restarted") :] == ["restarted", "started", "token"]


async def test_a_limit_of_tokens_counts_those_of_all_attempts(
    inference: StartInference, accepted: AcceptQuestion, streams: FaultyStreams, bus: KeepingBus
) -> None:
    command = (await accepted()).model_copy(update={"options": SamplingOptions(max_tokens=5)})
    await dead_worker(streams, command.question.generation_id, "a", "b", "c")
    backend = ScriptedBackend(rest("d", "e", reason="length"))
    async with inference(backend, probes=known()) as worker:
        await worker.generate_reply(command, delivery(command, redelivered=True))
    assert backend.calls[0].options.max_tokens == 2
    outcome = outcome_of(bus)
    assert isinstance(outcome, ReplyCompleted)
    assert (outcome.text, outcome.finish_reason, outcome.usage.output_tokens) == ("abcde", "length", 5)


async def test_what_was_said_in_full_asks_nobody(
    inference: StartInference, accepted: AcceptQuestion, streams: FaultyStreams, bus: KeepingBus
) -> None:
    command = (await accepted()).model_copy(update={"options": SamplingOptions(max_tokens=3)})
    await dead_worker(streams, command.question.generation_id, "a", "b", "c")
    backend = ScriptedBackend(rest("d"))
    async with inference(backend, probes=known()) as worker:
        await worker.generate_reply(command, delivery(command, redelivered=True))
    assert backend.calls == []  # not even a probe: nothing says that the model is loaded
    outcome = outcome_of(bus)
    assert isinstance(outcome, ReplyCompleted)
    assert (outcome.text, outcome.finish_reason, outcome.usage.output_tokens) == ("abc", "length", 3)


async def test_a_model_that_had_nothing_more_to_say_ends_there(
    inference: StartInference, accepted: AcceptQuestion, streams: FaultyStreams, bus: KeepingBus
) -> None:
    command = await accepted()
    await dead_worker(streams, command.question.generation_id, "All of it.")
    async with inference(ScriptedBackend(rest()), probes=known()) as worker:
        await worker.generate_reply(command, delivery(command, redelivered=True))
    outcome = outcome_of(bus)
    assert isinstance(outcome, ReplyCompleted)
    assert outcome.text == "All of it." == streams.text(command.question.generation_id)
    assert "restarted" not in streams.names(command.question.generation_id)


async def test_a_stop_string_across_the_seam_ends_the_reply(
    inference: StartInference, accepted: AcceptQuestion, streams: FaultyStreams, bus: KeepingBus
) -> None:
    command = (await accepted()).model_copy(update={"options": SamplingOptions(stop=("END.",))})
    await dead_worker(streams, command.question.generation_id, "Well. E")
    backend = ScriptedBackend([Text("N"), Text("D. And on"), never])
    async with inference(backend, probes=known()) as worker:
        await worker.generate_reply(command, delivery(command, redelivered=True))
    assert backend.closed >= 1
    outcome = outcome_of(bus)
    assert isinstance(outcome, ReplyCompleted)
    assert outcome.text == "Well. E" == streams.text(command.question.generation_id)
    assert outcome.finish_reason == "stop"


@pytest.mark.parametrize(
    ("shown", "pieces", "texts", "stopped"),
    [
        ("One", (" two",), [" two"], False),
        ("Well. E", ("ND",), [], True),
        ("Well. E", ("N", "D"), [], True),
        ("Well. E", ("N", "OUGH"), ["N", "OUGH"], False),
        ("Well. EN", ("DLESS",), [], True),
        ("Well. E", ("xEND",), ["xEND"], False),  # all of it in the new part: the back-end's to find
        ("END", (" well",), [" well"], False),  # all of it shown: the back-end would have ended there
        ("E", ("ND",), [], True),
        ("", ("END",), ["END"], False),
        ("Well. E", ("N",), ["N"], False),  # the model ends here: what was held back is shown
    ],
)
def test_only_a_stop_string_across_the_seam_is_ours_to_find(
    shown: str, pieces: tuple[str, ...], texts: list[str], *, stopped: bool
) -> None:
    straddling = Straddling(shown, ("\n\n\n\n", "END"))
    given = [text.text for one in pieces for text in straddling.take(Text(one))]
    if not straddling.stopped:
        given += [one.text for one in straddling.rest()]
    assert (given, straddling.stopped) == (texts, stopped)


async def test_the_limit_of_size_counts_all_of_the_text(
    inference: StartInference, accepted: AcceptQuestion, streams: FaultyStreams, bus: KeepingBus
) -> None:
    command = await accepted()
    half = "x" * (MAX_TEXT_BYTES // 2)
    await dead_worker(streams, command.question.generation_id, half)
    more: list[Piece] = [Text(half[:-10]), Text("y" * 20)]
    async with inference(ScriptedBackend([*more, never]), probes=known()) as worker:
        await worker.generate_reply(command, delivery(command, redelivered=True))
    outcome = outcome_of(bus)
    assert isinstance(outcome, ReplyCompleted)
    assert (outcome.finish_reason, len(outcome.text)) == ("length", MAX_TEXT_BYTES - 10)
    assert outcome.text == streams.text(command.question.generation_id)


async def test_a_worker_that_stops_hands_over_and_the_next_goes_on(
    inference: StartInference, accepted: AcceptQuestion, streams: FaultyStreams, bus: KeepingBus
) -> None:
    command = await accepted()
    async with inference(ScriptedBackend([Text("Half"), never]), probes=known()) as worker:
        handling = asyncio.create_task(worker.generate_reply(command, delivery(command)))
        await eventually(lambda: streams.text(command.question.generation_id) == "Half")
    await asyncio.gather(handling, return_exceptions=True)
    async with inference(ScriptedBackend(rest(" and half.")), worker="worker-2", probes=known()) as worker:
        await worker.generate_reply(command, delivery(command, redelivered=True))
    assert outcome_of(bus).text == "Half and half." == streams.text(command.question.generation_id)
    assert "restarted" not in streams.names(command.question.generation_id)


async def test_a_back_end_lost_in_mid_answer_is_gone_on_from(
    inference: StartInference, accepted: AcceptQuestion, streams: FaultyStreams, bus: KeepingBus
) -> None:
    command = await accepted()
    backend = ScriptedBackend([Text("Half"), CUT], rest(" and half.", read=6))
    async with inference(backend, probes=known()) as worker:
        await worker.generate_reply(command, delivery(command))
    assert streams.names(command.question.generation_id) == ["accepted", "started", "token", "token", "completed"]
    outcome = outcome_of(bus)
    assert (outcome.text, outcome.attempt) == ("Half and half.", 1)
    assert outcome.usage == Usage(input_tokens=5, output_tokens=2, spent_output_tokens=2)


async def test_another_back_end_of_the_same_kind_goes_on_and_is_named(
    inference: StartInference, accepted: AcceptQuestion, streams: FaultyStreams, bus: KeepingBus
) -> None:
    command = await accepted()
    one, two = ScriptedBackend([Text("Half"), CUT], name="one"), ScriptedBackend(rest(" and half."), name="two")
    async with inference(one, two, probes=known("one", "two")) as worker:
        await worker.generate_reply(command, delivery(command))
    assert two.calls[0].said == "Half"
    started = [one.backend for one in streams.events(command.question.generation_id) if isinstance(one, Started)]
    assert started == ["one", "two"]
    outcome = outcome_of(bus)
    assert (outcome.text, outcome.backend) == ("Half and half.", "two")


async def test_where_going_on_fails_the_next_back_end_is_judged_by_itself(
    inference: StartInference, accepted: AcceptQuestion, streams: FaultyStreams, bus: KeepingBus
) -> None:
    """One goes on and fails before its first token; the other does not go on: it begins again, and nothing is spliced."""
    command = await accepted()
    await dead_worker(streams, command.question.generation_id, "Half", backend="one")
    one, two = ScriptedBackend([UNREACHABLE], name="one"), ScriptedBackend(rest("Whole."), name="two", slots=1)
    probes = known("one")
    async with inference(one, two, probes=probes) as worker:
        await worker.generate_reply(command, delivery(command, redelivered=True))
    assert [call.said for call in one.calls] == ["Half"]
    assert two.calls[0].said == ""
    restarted = [one for one in streams.events(command.question.generation_id) if isinstance(one, Restarted)]
    assert [(one.attempt, one.reason) for one in restarted] == [(2, "worker_lost")]
    assert outcome_of(bus).text == "Whole." == streams.text(command.question.generation_id)


async def test_a_server_that_refuses_what_was_begun_begins_again(
    inference: StartInference, accepted: AcceptQuestion, streams: FaultyStreams, bus: KeepingBus
) -> None:
    command = await accepted()
    await dead_worker(streams, command.question.generation_id, "Half")
    backend = ScriptedBackend([REFUSED], rest("Whole."))
    async with inference(backend, probes=known()) as worker:
        await worker.generate_reply(command, delivery(command, redelivered=True))
    assert [call.said for call in backend.calls[:2]] == ["Half", ""]
    assert outcome_of(bus).text == "Whole." == streams.text(command.question.generation_id)


async def test_after_an_answer_that_broke_off_the_back_end_has_three_tries_again(
    inference: StartInference, accepted: AcceptQuestion, streams: FaultyStreams, bus: KeepingBus
) -> None:
    command = await accepted()
    backend = ScriptedBackend([Text("Half"), CUT], [UNREACHABLE], rest(" and half."))
    async with inference(backend, probes=known()) as worker:
        await worker.generate_reply(command, delivery(command))
    assert [call.said for call in backend.calls[:3]] == ["", "Half", "Half"]
    assert outcome_of(bus).text == "Half and half." == streams.text(command.question.generation_id)


async def test_a_cancelled_takeover_keeps_text_and_tokens(
    inference: StartInference, accepted: AcceptQuestion, streams: FaultyStreams, bus: KeepingBus
) -> None:
    command = await accepted()
    await dead_worker(streams, command.question.generation_id, "Hal", "f")
    asked = ReplyCancelled(question=command.question, ended_at=datetime.now(UTC))
    await streams.cancel(command.question.owner, command.question.generation_id, asked)
    backend = ScriptedBackend(rest("No."))
    async with inference(backend, probes=known()) as worker:
        await worker.generate_reply(command, delivery(command, redelivered=True))
    assert backend.calls == []
    outcome = outcome_of(bus)
    assert isinstance(outcome, ReplyCancelled)
    assert (outcome.text, outcome.backend) == ("Half", "one")
    assert outcome.usage == Usage(output_tokens=2, spent_output_tokens=2)


async def test_a_model_that_answered_is_probed_when_its_slot_is_free(
    inference: StartInference, accepted: AcceptQuestion, bus: KeepingBus
) -> None:
    command, probes = await accepted(), KeepingProbes()
    words = [f" {number}" for number in range(16)]
    whole, second = rest(*words, reason="length"), rest(*words[8:], reason="length")
    backend = ScriptedBackend(rest("Yes."), whole, second, slots=1)
    async with inference(backend, probes=probes) as worker:
        await worker.generate_reply(command, delivery(command))
        await eventually(lambda: probes.kept)
    assert probes.kept["one", "small"].continues
    assert backend.most_running == 1
    assert isinstance(outcome_of(bus), ReplyCompleted)


async def test_followers_see_one_text_through_it_all(
    inference: StartInference, accepted: AcceptQuestion, streams: FaultyStreams, bus: KeepingBus
) -> None:
    """Killed, gone on from, handed over, gone on from: the tokens of all are one text, in order, each once."""
    command = await accepted()
    generation_id = command.question.generation_id
    await dead_worker(streams, generation_id, "1 ", "2 ")
    async with inference(ScriptedBackend([Text("3 "), never]), probes=known()) as worker:
        handling = asyncio.create_task(worker.generate_reply(command, delivery(command, redelivered=True)))
        await eventually(lambda: streams.text(generation_id) == "1 2 3 ")
    await asyncio.gather(handling, return_exceptions=True)
    async with inference(ScriptedBackend(rest("4 ", "5 ")), worker="worker-3", probes=known()) as worker:
        await worker.generate_reply(command, delivery(command, redelivered=True))
    tokens = [one.text for one in streams.events(generation_id) if isinstance(one, Token)]
    assert "".join(tokens) == "1 2 3 4 5 " == outcome_of(bus).text
    assert outcome_of(bus).usage.spent_output_tokens == 5
