"""Inference: a delivery whose generation has no log. The store says whether it ended long ago."""

import asyncio
from datetime import UTC, datetime, timedelta

from contracts.errors import Unavailable
from contracts.events import ReplyCompleted, ReplyFailed
from contracts.recording import message_of_outcome
from tests.eventually import eventually
from tests.factories import completed
from tests.unit.workers.conftest import AcceptQuestion, StartInference
from tests.unit.workers.scripted import FaultyStreams, KeepingBus, KeepingChats, ScriptedBackend, delivery, says


async def test_what_is_recorded_already_is_not_run_again(
    inference: StartInference, accepted: AcceptQuestion, streams: FaultyStreams, bus: KeepingBus, chats: KeepingChats
) -> None:
    command = await accepted()
    streams.logs.by_id.clear()  # 15 minutes after it was recorded
    chats.replies[command.question.generation_id] = message_of_outcome(completed(command.question))
    backend = ScriptedBackend(says("Again."))
    async with inference(backend) as worker:
        await worker.generate_reply(command, delivery(command, redelivered=True))
    assert backend.calls == []
    assert bus.published == []
    assert not streams.logs.by_id
    assert not streams.logs.live.get(command.question.owner)  # the person's slot is free


async def test_what_belongs_to_a_deleted_chat_is_not_run(
    inference: StartInference, accepted: AcceptQuestion, streams: FaultyStreams, bus: KeepingBus, chats: KeepingChats
) -> None:
    command = await accepted()
    streams.logs.by_id.clear()
    chats.gone.add(command.question.chat_id)
    backend = ScriptedBackend(says("Nobody reads this."))
    async with inference(backend) as worker:
        await worker.generate_reply(command, delivery(command, redelivered=True))
    assert (backend.calls, bus.published) == ([], [])


async def test_somebody_elses_record_of_that_id_says_nothing(
    inference: StartInference, accepted: AcceptQuestion, streams: FaultyStreams, bus: KeepingBus, chats: KeepingChats
) -> None:
    command = await accepted()
    streams.logs.by_id.clear()
    other = command.question.model_copy(update={"owner": "somebody-else"})
    chats.replies[command.question.generation_id] = message_of_outcome(completed(other))
    async with inference(ScriptedBackend(says("Mine."))) as worker:
        await worker.generate_reply(command, delivery(command))
    assert isinstance(bus.published[0], ReplyCompleted)


async def test_a_log_that_was_begun_anew_is_ended_by_history(
    inference: StartInference, accepted: AcceptQuestion, streams: FaultyStreams, bus: KeepingBus
) -> None:
    command = await accepted()
    streams.logs.by_id.clear()
    async with inference(ScriptedBackend(says("Yes."))) as worker:
        await worker.generate_reply(command, delivery(command))
    log = streams.logs.by_id[command.question.generation_id]
    assert (log.state, log.outcome) == ("sealed", bus.published[0])  # it may be recorded with another text
    assert "close" not in streams.calls


async def test_while_the_store_is_away_nothing_runs_and_no_slot_is_taken(
    inference: StartInference, accepted: AcceptQuestion, streams: FaultyStreams, bus: KeepingBus, chats: KeepingChats
) -> None:
    command, other = await accepted(), await accepted()
    del streams.logs.by_id[command.question.generation_id]
    away = Unavailable("The store is being restarted.")
    chats.fails = [away] * 4
    backend = ScriptedBackend(says("Yes."), slots=1)
    async with inference(backend) as worker:
        handling = asyncio.create_task(worker.generate_reply(command, delivery(command, redelivered=True)))
        await eventually(lambda: chats.asked)
        await worker.generate_reply(other, delivery(other))
        assert [one.question for one in bus.published] == [other.question]
        assert chats.fails  # still away
        await handling
    assert [one.question for one in bus.published] == [other.question, command.question]


async def test_a_store_that_stays_away_until_the_deadline_makes_it_expire(
    inference: StartInference, accepted: AcceptQuestion, streams: FaultyStreams, bus: KeepingBus, chats: KeepingChats
) -> None:
    command = await accepted(deadline=datetime.now(UTC) + timedelta(seconds=0.2))
    streams.logs.by_id.clear()
    chats.fails = [Unavailable("The store is gone.")] * 100
    backend = ScriptedBackend(says("Too late."))
    async with inference(backend) as worker:
        await worker.generate_reply(command, delivery(command, redelivered=True))
    assert backend.calls == []
    (outcome,) = bus.published  # history keeps the first outcome: what was recorded stays
    assert isinstance(outcome, ReplyFailed)
    assert outcome.code == "expired"


async def test_a_log_that_stands_asks_the_store_nothing(
    inference: StartInference, accepted: AcceptQuestion, bus: KeepingBus, chats: KeepingChats
) -> None:
    command = await accepted()
    async with inference(ScriptedBackend(says("Yes."))) as worker:
        await worker.generate_reply(command, delivery(command, redelivered=True))
    assert chats.asked == 0
    assert len(bus.published) == 1
