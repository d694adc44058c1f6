"""The sweep: whatever died on the way, a generation past its hard deadline comes to its record, or never happened."""

from datetime import UTC, datetime, timedelta
from typing import cast

import pytest

from contracts.commands import Question
from contracts.errors import Overloaded, Unavailable
from contracts.events import ReplyCancelled, ReplyCompleted, ReplyFailed
from contracts.ports.streams import Answer, GenerationStreams, State
from infra.sqlite.leases import SqliteLeases
from tests.contract.ports.streams.places import Place
from tests.contract.ports.streams.story import (
    accepted,
    brought_to,
    cancelled,
    closed,
    created,
    sealed,
    soon,
    stands,
    told,
)
from tests.eventually import eventually
from tests.factories import completed, question
from tests.unit.workers.history.historian import Historian
from workers.history import sweeping
from workers.history.afterwards import Afterwards
from workers.history.sweeping import Sweeper

SECOND = timedelta(seconds=1)


def late(seconds: float) -> datetime:
    """So long after the hard deadline of whatever a test began."""
    return soon() + seconds * SECOND


async def due(streams: GenerationStreams) -> list[str]:
    """What is left to do."""
    return [one.generation_id for one in await streams.due(late(3600), 1000)]


async def test_before_its_deadline_nothing_is_touched(historian: Historian, streams: GenerationStreams) -> None:
    states: tuple[State, ...] = ("admitted", "accepted", "running", "sealed", "closed")
    asked = {state: await brought_to(streams, state) for state in states}
    await historian.sweeper.round(datetime.now(UTC))
    assert historian.bus.published == []
    assert {state: (await stands(streams, one.generation_id)).state for state, one in asked.items()} == {
        state: state for state in states
    }


@pytest.mark.parametrize("state", ["admitted", "aborted"])
async def test_what_was_never_accepted_never_happened(
    historian: Historian, streams: GenerationStreams, state: State
) -> None:
    asked = await brought_to(streams, state)
    await historian.sweeper.round(late(1))
    assert historian.bus.published == []
    head = await streams.head(asked.generation_id)
    assert head is not None
    assert head.state == "aborted"
    assert await streams.confirm(asked.generation_id) is Answer.ABORTED
    assert (await streams.open(asked.owner), await due(streams)) == ([], [])


async def test_without_a_log_and_a_record_it_never_happened(
    historian: Historian, streams: GenerationStreams, place: Place
) -> None:
    asked = await accepted(streams)
    await place.lose(asked.generation_id)
    await historian.sweeper.round(late(1))
    assert historian.bus.published == []
    assert (await streams.open(asked.owner), await due(streams)) == ([], [])


async def test_without_a_log_what_is_recorded_is_told(
    historian: Historian, streams: GenerationStreams, place: Place
) -> None:
    asked = await accepted(streams)
    await historian.history.record_outcomes([completed(asked, "Blue.")])
    await place.lose(asked.generation_id)
    await historian.sweeper.round(late(1))
    (event,) = historian.told
    assert (event.generation_id, event.owner, event.chat_id) == (asked.generation_id, asked.owner, asked.chat_id)
    assert (event.message_id, event.reply_id, event.model) == (asked.message_id, asked.reply_id, asked.model)
    assert historian.outcomes == []
    assert (await streams.open(asked.owner), await due(streams)) == ([], [])


async def test_what_nobody_ever_took_expires(historian: Historian, streams: GenerationStreams) -> None:
    asked = await accepted(streams)
    await historian.sweeper.round(late(1))
    (outcome,) = historian.outcomes
    assert isinstance(outcome, ReplyFailed)
    assert (outcome.question, outcome.code, outcome.retryable, outcome.attempt) == (asked, "expired", True, 0)
    assert (await stands(streams, asked.generation_id)).outcome == outcome
    assert await due(streams) == [asked.generation_id]  # until it is recorded
    await historian.records()
    assert (await stands(streams, asked.generation_id)).state == "closed"
    assert (await streams.open(asked.owner), await due(streams)) == ([], [])


async def test_what_its_worker_left_ends_with_the_text_it_has_shown(
    historian: Historian, streams: GenerationStreams, place: Place
) -> None:
    it = await told(streams, "Blue", " and")
    await place.overrun(it.id)
    await historian.sweeper.round(late(1))
    (outcome,) = historian.outcomes
    assert isinstance(outcome, ReplyFailed)
    assert (outcome.code, outcome.text, outcome.attempt, outcome.backend) == (
        "generation_timeout", "Blue and", 1, "one",
    )  # fmt: skip
    await historian.records()
    log = await stands(streams, it.id)
    assert (log.state, log.text, log.kind) == ("closed", "Blue and", "failed")


async def test_a_cancel_that_nobody_heard_wins(historian: Historian, streams: GenerationStreams, place: Place) -> None:
    it = await told(streams, "Blue")
    await streams.cancel(it.question.owner, it.id, cancelled(it.question))
    await place.overrun(it.id)
    await historian.sweeper.round(late(1))
    (outcome,) = historian.outcomes
    assert isinstance(outcome, ReplyCancelled)
    assert outcome.text == "Blue"


async def test_what_a_worker_holds_is_its_own(historian: Historian, streams: GenerationStreams) -> None:
    running, ended = await told(streams, "Blue"), await sealed(streams, "Blue.")
    await historian.sweeper.round(late(3600))
    assert historian.bus.published == []
    assert (await stands(streams, running.id)).state == "running"
    assert (await stands(streams, ended.id)).state == "sealed"


async def test_a_sealed_outcome_that_nobody_published_is_published(
    historian: Historian, streams: GenerationStreams, place: Place
) -> None:
    it = await sealed(streams, "Blue.")
    await place.overrun(it.id)
    await historian.sweeper.round(late(5))
    assert historian.bus.published == []
    await historian.another().round(late(11))
    (outcome,) = historian.outcomes
    assert isinstance(outcome, ReplyCompleted)
    assert outcome.text == "Blue."
    await historian.records()
    assert await due(streams) == []
    assert (await stands(streams, it.id)).text == "Blue."


async def test_a_closed_one_whose_outcome_was_lost_is_published_again(
    historian: Historian, streams: GenerationStreams
) -> None:
    it = await closed(streams, "Blue.")
    await historian.sweeper.round(late(50))
    assert historian.bus.published == []
    await historian.another().round(late(61))
    (outcome,) = historian.outcomes
    assert outcome == completed(it.question, "Blue.", ended_at=outcome.ended_at)
    await historian.records()
    assert (await streams.open(it.question.owner), await due(streams)) == ([], [])


async def test_steps_after_recording_that_were_not_done_are_done(
    historian: Historian, streams: GenerationStreams
) -> None:
    it = await closed(streams, "Blue.")
    await historian.history.record_outcomes([completed(it.question, "Blue.")])
    await historian.sweeper.round(late(61))
    (event,) = historian.told
    assert event.generation_id == it.id
    assert historian.outcomes == []
    assert (await streams.open(it.question.owner), await due(streams)) == ([], [])
    reply = await historian.chats.reply(it.question.owner, it.id)
    assert reply is not None
    assert reply.last_event_id == (await stands(streams, it.id)).last_id


async def test_one_of_a_deleted_chat_ends_too(historian: Historian, streams: GenerationStreams, place: Place) -> None:
    it = await told(streams, "Blue")
    await historian.chats.delete(it.question.owner, it.question.chat_id, datetime.now(UTC))
    await place.overrun(it.id)
    await historian.sweeper.round(late(1))
    await historian.records()
    assert historian.told == []
    assert (await streams.open(it.question.owner), await due(streams)) == ([], [])
    assert (await stands(streams, it.id)).state == "closed"


async def test_what_was_recorded_in_time_is_nothing_for_the_sweep(
    historian: Historian, streams: GenerationStreams
) -> None:
    recorded, discarded = await closed(streams, "Blue."), await closed(streams, "Grey.")
    await historian.chats.delete(discarded.question.owner, discarded.question.chat_id, datetime.now(UTC))
    await historian.records(completed(recorded.question, "Blue."), completed(discarded.question, "Grey."))
    assert await due(streams) == []


async def test_an_outcome_is_not_published_in_every_round(historian: Historian, streams: GenerationStreams) -> None:
    await closed(streams, "Blue.")
    for second in (61, 66, 71):
        await historian.sweeper.round(late(second))
    assert len(historian.outcomes) == 1


async def test_what_changes_while_it_is_looked_at_is_left_for_later(
    historian: Historian, streams: GenerationStreams, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The edge confirms right after the sweep saw it as admitted."""
    asked = await created(streams)
    head = streams.head

    async def head_then_confirmed(generation_id: str) -> object:
        seen = await head(generation_id)
        await streams.confirm(generation_id)
        return seen

    monkeypatch.setattr(streams, "head", head_then_confirmed)
    await historian.sweeper.round(late(1))
    assert await due(streams) == [asked.generation_id]
    assert len(await streams.open(asked.owner)) == 1
    await historian.another().round(late(1))
    assert [one.question for one in historian.outcomes] == [asked]


async def test_errors_of_one_do_not_stop_the_others(historian: Historian, streams: GenerationStreams) -> None:
    asked = [await accepted(streams) for _ in range(3)]
    historian.bus.fails = [Overloaded("The queue is full.")]
    await historian.sweeper.round(late(1))
    assert len(historian.outcomes) == 2
    await historian.another().round(late(11))  # sealed by now
    assert {one.question.generation_id for one in historian.outcomes} == {one.generation_id for one in asked}


async def test_a_server_that_is_away_ends_the_round_and_nothing_is_decided(
    historian: Historian, streams: GenerationStreams, place: Place
) -> None:
    lost = [await accepted(streams) for _ in range(2)]
    for one in lost:
        await place.lose(one.generation_id)
    historian.chats.fails = [Unavailable("The store is down.")]
    with pytest.raises(Unavailable):
        await historian.sweeper.round(late(1))
    assert len(await due(streams)) == 2
    await historian.sweeper.round(late(6))
    assert await due(streams) == []


async def test_a_round_is_bounded_and_the_next_goes_on_behind_it(
    historian: Historian, streams: GenerationStreams, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sweeping, "MOST", 3)
    asked = [await accepted(streams) for _ in range(7)]
    for number in (3, 6, 7, 7):  # those of the rounds before are still due: nobody recorded them
        await historian.sweeper.round(late(1))
        assert len(historian.outcomes) == number
    assert len({one.question.generation_id for one in historian.outcomes}) == len(asked)


async def test_a_round_ends_in_time(
    historian: Historian, streams: GenerationStreams, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sweeping, "ROUND_FOR", 0.0)
    for _ in range(2):
        await accepted(streams)
    await historian.sweeper.round(late(1))
    assert len(historian.outcomes) == 1


async def admitted_long_ago(streams: GenerationStreams) -> Question:
    """Past its deadline by everybody's clock."""
    asked = question()
    await streams.admit(asked, explicit_parent=False, deadline=datetime.now(UTC) - SECOND)
    return asked


class Asked:
    """Streams that count how often somebody asked what is due."""

    def __init__(self, streams: GenerationStreams) -> None:
        self._streams = streams
        self.times = 0

    async def due(self, before: datetime, limit: int) -> object:
        self.times += 1
        return await self._streams.due(before, limit)

    def __getattr__(self, name: str) -> object:
        return getattr(self._streams, name)


async def test_of_several_history_workers_one_sweeps(historian: Historian, streams: GenerationStreams) -> None:
    asks = Asked(streams)
    over = Afterwards(historian.bus, cast(GenerationStreams, asks), historian.history)
    second = Sweeper(over, historian.chats, SqliteLeases(historian.database), "second", every=0.02)
    async with historian.another(holder="first", every=0.02):
        await admitted_long_ago(streams)
        await eventually(lambda: _nothing_due(streams))
        async with second:
            for _ in range(3):
                await admitted_long_ago(streams)
                await eventually(lambda: _nothing_due(streams))
    assert asks.times == 0


async def test_another_goes_on_when_one_stops(historian: Historian, streams: GenerationStreams) -> None:
    async with historian.another(holder="first", every=0.02):
        await admitted_long_ago(streams)
        await eventually(lambda: _nothing_due(streams))
    async with historian.another(holder="second", every=0.02):
        await admitted_long_ago(streams)
        await eventually(lambda: _nothing_due(streams))


async def test_sweeping_goes_on_after_a_failure(historian: Historian, streams: GenerationStreams) -> None:
    historian.chats.fails = [Unavailable("The store is down.")]
    async with historian.another(every=0.02):
        await admitted_long_ago(streams)
        await eventually(lambda: _nothing_due(streams))
    assert historian.chats.fails == []


async def _nothing_due(streams: GenerationStreams) -> bool:
    return await streams.due(datetime.now(UTC), 10) == []
