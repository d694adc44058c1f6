"""History: given questions and outcomes in any order, what the store holds, how the log ends and what developers hear."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from datetime import UTC, datetime
from itertools import permutations
from pathlib import Path

import pytest

from contracts.errors import Unavailable
from contracts.events import Outcome, QuestionAsked, ReplyCompleted, ReplyFailed
from contracts.ports.streams import Run
from contracts.public import PublicReplyCompleted, PublicReplyFailed
from contracts.records import Message
from infra.sqlite.chats import SqliteChats
from infra.sqlite.database import SqliteDatabase
from infra.sqlite.history import SqliteHistory
from tests.factories import completed, question
from tests.unit.workers.conftest import AcceptQuestion, StartInference
from tests.unit.workers.scripted import FaultyStreams, KeepingBus, ScriptedBackend, delivery, says
from workers.history.afterwards import Afterwards
from workers.history.handlers import Recorder


class CountingHistory(SqliteHistory):
    """Counts its writes. `refuses`: texts that it cannot keep; `away`: errors of its next writes."""

    def __init__(self, database: SqliteDatabase) -> None:
        super().__init__(database)
        self.batches: list[int] = []
        self.refuses: set[str] = set()
        self.away: list[Exception] = []

    async def record_outcomes(self, outcomes: Sequence[Outcome]) -> Sequence[Message | None]:
        self.batches.append(len(outcomes))
        if self.away:
            raise self.away.pop(0)
        if self.refuses & {one.text for one in outcomes}:
            raise ValueError("This cannot be kept.")
        return await super().record_outcomes(outcomes)


@pytest.fixture
async def database(tmp_path: Path) -> AsyncGenerator[SqliteDatabase, None]:
    async with SqliteDatabase(tmp_path / "data") as opened:
        yield opened


@pytest.fixture
def chats(database: SqliteDatabase) -> SqliteChats:
    return SqliteChats(database)


@pytest.fixture
def history(database: SqliteDatabase) -> CountingHistory:
    return CountingHistory(database)


@pytest.fixture
async def recorder(bus: KeepingBus, streams: FaultyStreams, history: CountingHistory) -> AsyncGenerator[Recorder, None]:
    async with Recorder(history, Afterwards(bus, streams, history)) as started:
        yield started


async def test_question_and_reply_are_recorded_once_in_any_order_and_however_often(
    recorder: Recorder, chats: SqliteChats
) -> None:
    asked = question()
    outcome = completed(asked, "Blue.")
    for order in permutations((QuestionAsked(question=asked), outcome, outcome)):
        for event in order:
            await recorder.record(event, delivery(event))
    kept = await chats.messages(asked.owner, asked.chat_id)
    assert [(one.role, one.content) for one in kept] == [("user", asked.content), ("assistant", "Blue.")]


async def test_after_recording_the_person_is_free_and_developers_know(
    recorder: Recorder, accepted: AcceptQuestion, streams: FaultyStreams, bus: KeepingBus
) -> None:
    asked = (await accepted()).question
    outcome = completed(asked)
    await recorder.record_reply(outcome, delivery(outcome))
    assert await streams.open(asked.owner) == []
    (event,) = bus.published
    assert isinstance(event, PublicReplyCompleted)
    assert event.generation_id == asked.generation_id


async def test_a_log_that_nobody_closed_ends_with_the_recorded_text(
    recorder: Recorder, accepted: AcceptQuestion, streams: FaultyStreams, chats: SqliteChats
) -> None:
    asked = (await accepted()).question
    run = await streams.claim(asked.generation_id, "dead")
    assert isinstance(run, Run)
    outcome = completed(asked, "Blue.")
    await recorder.record_reply(outcome, delivery(outcome))
    assert streams.names(asked.generation_id)[-1] == "completed"
    assert streams.text(asked.generation_id) == "Blue."
    reply = await chats.reply(asked.owner, asked.generation_id)
    assert reply is not None
    assert reply.last_event_id == streams.logs.by_id[asked.generation_id].last_id


async def test_the_first_outcome_wins_and_the_log_shows_it(
    recorder: Recorder, accepted: AcceptQuestion, streams: FaultyStreams, bus: KeepingBus
) -> None:
    asked = (await accepted()).question
    first = ReplyFailed(question=asked, code="expired", message="Too late.", ended_at=datetime.now(UTC))
    await recorder.record_reply(first, delivery(first))
    streams.logs.by_id.clear()
    await streams.create(asked, starts_before=asked.asked_at, deadline=datetime.max.replace(tzinfo=UTC, year=2100))
    second = completed(asked, "Blue.")
    await recorder.record_reply(second, delivery(second))
    assert streams.names(asked.generation_id) == ["accepted", "failed"]
    assert [type(one) for one in bus.published] == [PublicReplyFailed, PublicReplyFailed]


async def test_a_worker_and_history_end_with_one_text(
    recorder: Recorder, inference: StartInference, accepted: AcceptQuestion, streams: FaultyStreams, chats: SqliteChats,
    bus: KeepingBus,
) -> None:  # fmt: skip
    command = await accepted()
    async with inference(ScriptedBackend(says("Blue", "."))) as worker:
        await worker.generate_reply(command, delivery(command))
    outcome = bus.published[0]
    assert isinstance(outcome, ReplyCompleted)
    await recorder.record_reply(outcome, delivery(outcome))
    reply = await chats.reply(command.question.owner, command.question.generation_id)
    assert reply is not None
    assert reply.content == "Blue." == streams.text(command.question.generation_id)
    assert reply.last_event_id == streams.logs.by_id[command.question.generation_id].last_id
    assert streams.names(command.question.generation_id).count("completed") == 1


async def test_a_reply_of_a_deleted_chat_is_not_kept_and_not_told(
    recorder: Recorder, accepted: AcceptQuestion, streams: FaultyStreams, chats: SqliteChats, bus: KeepingBus
) -> None:
    asked = (await accepted()).question
    await chats.delete(asked.owner, asked.chat_id, datetime.now(UTC))
    outcome = completed(asked)
    await recorder.record_reply(outcome, delivery(outcome))
    assert await chats.messages(asked.owner, asked.chat_id) == []
    assert await streams.open(asked.owner) == []
    assert bus.published == []
    assert streams.names(asked.generation_id)[-1] == "completed"  # who still follows sees an end


async def test_what_comes_together_is_written_together(recorder: Recorder, history: CountingHistory) -> None:
    outcomes = [completed(question()) for _ in range(50)]
    await asyncio.gather(*(recorder.record_reply(one, delivery(one)) for one in outcomes))
    assert sum(history.batches) == 50
    assert len(history.batches) <= 2


async def test_one_that_cannot_be_kept_does_not_take_its_neighbours_along(
    recorder: Recorder, history: CountingHistory, chats: SqliteChats
) -> None:
    history.refuses = {"poison"}
    good, bad = [completed(question()) for _ in range(3)], completed(question(), "poison")
    results = await asyncio.gather(
        *(recorder.record_reply(one, delivery(one)) for one in (good[0], bad, *good[1:])), return_exceptions=True
    )
    assert [type(one) for one in results if one is not None] == [ValueError]
    for one in good:
        assert await chats.reply(one.question.owner, one.question.generation_id) is not None


async def test_a_store_that_is_away_acks_nothing(
    recorder: Recorder, history: CountingHistory, bus: KeepingBus, streams: FaultyStreams, accepted: AcceptQuestion
) -> None:
    asked = (await accepted()).question
    outcome = completed(asked)
    history.away = [Unavailable("The store is down.")]
    with pytest.raises(Unavailable):
        await recorder.record_reply(outcome, delivery(outcome))
    assert bus.published == []
    assert len(await streams.open(asked.owner)) == 1
    await recorder.record_reply(outcome, delivery(outcome, redelivered=True))
    assert len(bus.published) == 1
