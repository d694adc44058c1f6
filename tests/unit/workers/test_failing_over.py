"""A back-end that fails while others have the model: whoever follows sees the answer, once."""

import asyncio
import time
from datetime import UTC, datetime

import pytest

from contracts.commands import EmbedTexts, RefreshCatalog
from contracts.envelope import Message
from contracts.errors import BackendFailed
from contracts.events import ReplyCancelled, ReplyCompleted, ReplyFailed
from contracts.ports.backend import Text
from infra.memory.embeddings import MemoryEmbeddingResults
from tests.eventually import eventually
from tests.factories import embed_texts
from tests.unit.workers.conftest import AcceptQuestion, StartInference
from tests.unit.workers.scripted import FaultyStreams, FixedRoster, KeepingBus, ScriptedBackend, delivery, says
from workers.inference import places, slots, tries
from workers.inference.circuit import IN_A_ROW

AWAY = BackendFailed("backend_unreachable", "Nobody listens there.")
CUT = BackendFailed("backend_cut", "The line was cut.")


def outcomes(bus: KeepingBus) -> list[Message]:
    """What was published about questions."""
    return [one for one in bus.published if not isinstance(one, RefreshCatalog)]


def backends(*scripts: list[object]) -> list[ScriptedBackend]:
    return [ScriptedBackend(one, name=f"gpu-{number}") for number, one in enumerate(scripts)]  # type: ignore[arg-type]


async def test_each_try_goes_to_a_back_end_that_has_not_failed_yet_and_without_a_pause(
    inference: StartInference,
    accepted: AcceptQuestion,
    streams: FaultyStreams,
    bus: KeepingBus,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(tries, "PAUSES", (60.0, 60.0))
    command = await accepted()
    three = backends([AWAY], [AWAY], says("Yes."))
    async with inference(*three) as worker:
        await worker.generate_reply(command, delivery(command))
    (outcome,) = outcomes(bus)
    assert isinstance(outcome, ReplyCompleted)
    assert (outcome.text, outcome.backend) == ("Yes.", "gpu-2")
    assert [len(one.calls) for one in three] == [1, 1, 1]
    assert "restarted" not in streams.names(command.question.generation_id)


async def test_where_all_have_failed_the_first_one_is_tried_again_after_a_pause(
    inference: StartInference, accepted: AcceptQuestion, bus: KeepingBus, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tries, "PAUSES", (0.0, 0.2))
    command = await accepted()
    one, two = ScriptedBackend([AWAY], says("Yes."), name="one"), ScriptedBackend([AWAY], name="two")
    async with inference(one, two) as worker:
        began = time.monotonic()
        await worker.generate_reply(command, delivery(command))
        assert time.monotonic() - began >= 0.2
    (outcome,) = outcomes(bus)
    assert isinstance(outcome, ReplyCompleted)
    assert outcome.backend == "one"


async def test_after_the_first_token_it_begins_again_elsewhere_and_says_so_once(
    inference: StartInference, accepted: AcceptQuestion, streams: FaultyStreams
) -> None:
    command = await accepted()
    async with inference(*backends([Text("Half"), CUT], [AWAY], says("Whole."))) as worker:
        await worker.generate_reply(command, delivery(command))
    names = streams.names(command.question.generation_id)
    assert names.count("restarted") == 1
    assert streams.text(command.question.generation_id) == "Whole."


async def test_fifty_streams_of_a_back_end_that_dies_all_end_well_on_the_other(
    inference: StartInference, accepted: AcceptQuestion, streams: FaultyStreams, bus: KeepingBus
) -> None:
    died = asyncio.Event()

    async def dies() -> None:
        await died.wait()
        one.serves = AWAY
        raise CUT

    one = ScriptedBackend([Text("Half"), dies], name="one", slots=64)
    two = ScriptedBackend(says("Whole."), name="two", slots=64)
    roster = FixedRoster(one)
    commands = [await accepted() for _ in range(50)]
    async with inference(roster=roster) as worker:
        running = [asyncio.create_task(worker.generate_reply(command, delivery(command))) for command in commands]
        await eventually(lambda: one.running == 50)
        roster.becomes(one, two)
        await eventually(lambda: worker.slots == 128)
        died.set()
        await asyncio.gather(*running)
    assert [type(outcome) for outcome in outcomes(bus)] == [ReplyCompleted] * 50
    assert (len(one.calls), len(two.calls)) == (50, 50)
    for command in commands:
        assert streams.names(command.question.generation_id).count("restarted") == 1


async def test_questions_asked_while_nobody_can_be_reached_wait_until_somebody_can(
    inference: StartInference, accepted: AcceptQuestion, bus: KeepingBus, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(places, "LOOK_AGAIN", 0.02)
    monkeypatch.setattr(slots, "TICK", 0.01)
    monkeypatch.setattr(tries, "PAUSES", (0.0, 0.0))
    backend = ScriptedBackend(*[[AWAY]] * IN_A_ROW, says("Yes."), name="one", slots=8)
    commands = [await accepted() for _ in range(4)]
    async with inference(backend) as worker:
        await eventually(lambda: backend.asked)
        backend.serves = AWAY
        running = [asyncio.create_task(worker.generate_reply(command, delivery(command))) for command in commands]
        await eventually(lambda: len(backend.calls) == IN_A_ROW)
        assert not outcomes(bus)
        backend.serves = ("small",)
        await asyncio.gather(*running)
    assert {type(outcome) for outcome in outcomes(bus)} == {ReplyCompleted}


async def test_a_question_that_nobody_could_be_reached_for_fails_as_one_to_ask_again(
    inference: StartInference, accepted: AcceptQuestion, bus: KeepingBus, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(slots, "AWAY", 0.1)
    monkeypatch.setattr(slots, "TICK", 0.01)
    monkeypatch.setattr(tries, "PAUSES", (0.0, 0.0))
    backend = ScriptedBackend([AWAY], name="one", slots=8)
    first, second, third = await accepted(), await accepted(), await accepted()
    async with inference(backend) as worker:
        await eventually(lambda: backend.asked)
        backend.serves = AWAY
        for command in (first, second, third):
            await worker.generate_reply(command, delivery(command))
    assert [outcome.code for outcome in outcomes(bus) if isinstance(outcome, ReplyFailed)] == [
        "backend_unreachable"
    ] * 3
    assert all(outcome.retryable for outcome in outcomes(bus) if isinstance(outcome, ReplyFailed))
    assert len(backend.calls) == IN_A_ROW  # after that it was left alone


async def test_a_cancel_ends_the_wait_for_somebody_to_be_reached(
    inference: StartInference,
    accepted: AcceptQuestion,
    streams: FaultyStreams,
    bus: KeepingBus,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(tries, "PAUSES", (0.0, 0.0))
    backend = ScriptedBackend([AWAY], name="one")
    first, second = await accepted(), await accepted()
    async with inference(backend) as worker:
        await eventually(lambda: backend.asked)
        backend.serves = AWAY
        await worker.generate_reply(first, delivery(first))
        handling = asyncio.create_task(worker.generate_reply(second, delivery(second)))
        await eventually(lambda: len(backend.calls) == IN_A_ROW)
        question = second.question
        cancelled = ReplyCancelled(question=question, ended_at=datetime.now(UTC))
        await streams.cancel(question.owner, question.generation_id, cancelled)
        await handling
    assert [type(outcome) for outcome in outcomes(bus)] == [ReplyFailed, ReplyCancelled]


@pytest.mark.parametrize("prefers", ["gpu-0", "gpu-1", "gpu-2"])
async def test_a_question_goes_where_its_chat_was_last(
    inference: StartInference, accepted: AcceptQuestion, bus: KeepingBus, prefers: str
) -> None:
    command = await accepted(prefers=prefers)
    three = backends(says("Yes."), says("Yes."), says("Yes."))
    for one in three:
        one.holds = ("small",)
    async with inference(*three) as worker:
        await eventually(lambda: all(one.asked for one in three))
        await worker.generate_reply(command, delivery(command))
    (outcome,) = outcomes(bus)
    assert isinstance(outcome, ReplyCompleted)
    assert outcome.backend == prefers


async def test_texts_are_tried_on_every_back_end_too(inference: StartInference) -> None:
    three, results = backends([], [], []), MemoryEmbeddingResults()
    for one in three[:2]:
        one.embeds = [AWAY]
    command: EmbedTexts = embed_texts("a", "b")
    async with inference(*three, embeddings=results) as worker:
        await worker.embed_texts(command, delivery(command))
    assert [len(one.embedded) for one in three] == [1, 1, 1]
