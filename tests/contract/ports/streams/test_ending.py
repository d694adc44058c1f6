"""Seal, close, cancel, recorded: one outcome, and the text that followers end with."""

import pytest

from contracts.events import ReplyCancelled, ReplyCompleted
from contracts.generation import Thinking, encode
from contracts.ids import new_id
from contracts.ports.streams import Answer, Closed, ClosedAs, Flagged, Gap, GenerationStreams, Run, Sealed
from tests.contract.ports.streams.places import Place
from tests.contract.ports.streams.story import (
    CALL,
    accepted,
    brought_to,
    cancelled,
    claimed,
    closed,
    created,
    followed,
    names_of,
    restarted,
    sealed,
    seqs_of,
    stands,
    text_of,
    tokens,
    told,
    tool_call,
)
from tests.factories import completed

DAY = 24 * 3600


async def test_a_sealed_outcome_stands_and_is_not_shown(streams: GenerationStreams) -> None:
    it = await told(streams, "Hi")
    outcome = completed(it.question, "Hi", tool_calls=(CALL,))
    for _ in range(2):
        assert await streams.seal(it.id, it.epoch, it.next, outcome) is Answer.OK
    snapshot = await stands(streams, it.id)
    assert (snapshot.state, snapshot.kind, snapshot.outcome) == ("sealed", "completed", outcome)
    assert snapshot.next == it.next


@pytest.mark.parametrize("difference", [-1, 1])
async def test_sealing_needs_the_whole_log(streams: GenerationStreams, difference: int) -> None:
    it = await told(streams, "Hi")
    for epoch in (it.epoch, None):
        answer = await streams.seal(it.id, epoch, it.next + difference, completed(it.question, "Hi"))
        assert answer == Gap(it.next)
    assert (await stands(streams, it.id)).state == "running"


async def test_who_is_not_its_worker_seals_and_fences_the_worker(streams: GenerationStreams) -> None:
    it = await told(streams, "Hi")
    first = completed(it.question, "Hi")
    assert await streams.seal(it.id, None, it.next, first) is Answer.OK
    assert await streams.append(it.id, it.epoch, it.next, tokens("!")) is Answer.FENCED
    assert await streams.seal(it.id, it.epoch, it.next, first) is Answer.FENCED
    assert await streams.close(it.id, it.epoch) is Answer.FENCED
    assert await streams.seal(it.id, None, it.next, cancelled(it.question)) == Sealed(first)


@pytest.mark.parametrize("state", ["admitted", "accepted"])
async def test_what_nobody_runs_can_be_sealed(streams: GenerationStreams, state: str) -> None:
    asked = await (created(streams) if state == "admitted" else accepted(streams))
    outcome = cancelled(asked)
    assert await streams.seal(asked.generation_id, None, 1, outcome) is Answer.OK
    assert await streams.claim(asked.generation_id, "worker-1") == Sealed(outcome)


async def test_a_cancel_that_came_first_wins(streams: GenerationStreams) -> None:
    it = await told(streams, "Hi")
    await streams.cancel(it.question.owner, it.id, cancelled(it.question))
    for epoch in (it.epoch, None):
        assert await streams.seal(it.id, epoch, it.next, completed(it.question, "Hi")) is Answer.CANCELLED
    assert await streams.seal(it.id, it.epoch, it.next, cancelled(it.question)) is Answer.OK


async def test_what_was_closed_or_aborted_is_not_sealed(streams: GenerationStreams) -> None:
    it = await closed(streams, "Hi")
    aborted = await brought_to(streams, "aborted")
    assert await streams.seal(it.id, it.epoch, it.next, completed(it.question)) is Answer.CLOSED
    assert await streams.seal(it.id, None, it.next, completed(it.question)) is Answer.CLOSED
    assert await streams.seal(aborted.generation_id, None, 1, completed(aborted)) is Answer.ABORTED


async def test_closing_shows_the_end_once(streams: GenerationStreams) -> None:
    it = await sealed(streams, "Hi")
    for _ in range(2):
        assert await streams.close(it.id, it.epoch) == Closed(f"{it.epoch}-{it.next}")
    events = await followed(streams, it.id)
    assert names_of(events) == ["accepted", "started", "token", "completed"]
    snapshot = await stands(streams, it.id)
    assert (snapshot.state, snapshot.last_id, snapshot.kind) == ("closed", f"{it.epoch}-{it.next}", "completed")


async def test_what_is_not_sealed_is_not_closed(streams: GenerationStreams) -> None:
    it = await told(streams, "Hi")
    assert await streams.close(it.id, it.epoch) is Answer.NOT_SEALED


async def test_a_closed_log_waits_a_week_for_its_record_then_a_quarter_of_an_hour(
    place: Place, streams: GenerationStreams
) -> None:
    it = await closed(streams, "Hi")
    assert 7 * DAY - 60 < await place.seconds_left(it.id) <= 7 * DAY
    await streams.recorded(it.id, completed(it.question, "Hi"))
    assert 840 < await place.seconds_left(it.id) <= 900


# cancel


@pytest.mark.parametrize("state", ["admitted", "accepted"])
async def test_what_nobody_runs_is_cancelled_at_once(streams: GenerationStreams, state: str) -> None:
    asked = await (created(streams) if state == "admitted" else accepted(streams))
    outcome = cancelled(asked)
    for _ in range(2):
        assert await streams.cancel(asked.owner, asked.generation_id, outcome) == Sealed(outcome)
    assert await streams.claim(asked.generation_id, "worker-1") == Sealed(outcome)


async def test_what_was_let_go_before_it_showed_anything_is_cancelled_at_once(streams: GenerationStreams) -> None:
    it = await told(streams)
    await streams.release(it.id, it.epoch)
    outcome = cancelled(it.question)
    assert await streams.cancel(it.question.owner, it.id, outcome) == Sealed(outcome)


async def test_what_has_shown_text_and_has_no_owner_is_ended_by_the_next(streams: GenerationStreams) -> None:
    it = await told(streams, "Hi")
    await streams.release(it.id, it.epoch)
    assert await streams.cancel(it.question.owner, it.id, cancelled(it.question)) == Flagged(None)
    run = await streams.claim(it.id, "worker-2")
    assert isinstance(run, Run)
    assert run.cancel


async def test_a_cancel_that_comes_too_late_is_told_how_it_ended(streams: GenerationStreams) -> None:
    it = await sealed(streams, "Hi")
    stood = (await stands(streams, it.id)).outcome
    assert stood is not None
    assert await streams.cancel(it.question.owner, it.id, cancelled(it.question)) == Sealed(stood)
    await streams.close(it.id, it.epoch)
    assert await streams.cancel(it.question.owner, it.id, cancelled(it.question)) == ClosedAs("completed")


async def test_nobody_cancels_what_is_somebody_elses(streams: GenerationStreams) -> None:
    it = await told(streams, "Hi")
    assert await streams.cancel(new_id(), it.id, cancelled(it.question)) is Answer.NOT_FOUND
    assert (await stands(streams, it.id)).cancel is False


async def test_what_was_aborted_is_not_cancelled(streams: GenerationStreams) -> None:
    asked = await brought_to(streams, "aborted")
    assert await streams.cancel(asked.owner, asked.generation_id, cancelled(asked)) is Answer.ABORTED


# recorded


async def test_recording_what_is_closed_leaves_it_as_it_is(streams: GenerationStreams) -> None:
    it = await closed(streams, "Hi")
    before = await followed(streams, it.id)
    for _ in range(2):
        assert await streams.recorded(it.id, completed(it.question, "Hi")) == Closed(str(before[-1].id))
    assert await followed(streams, it.id) == before


async def test_recording_the_text_that_was_shown_only_adds_the_end(place: Place, streams: GenerationStreams) -> None:
    it = await sealed(streams, "Hi", " there")
    answer = await streams.recorded(it.id, completed(it.question, "Hi there"))
    events = await followed(streams, it.id)
    assert names_of(events) == ["accepted", "started", "token", "token", "completed"]
    assert answer == Closed(str(events[-1].id))
    assert not str(events[-1].id).startswith(f"{it.epoch}-")
    assert 840 < await place.seconds_left(it.id) <= 900
    assert await streams.recorded(it.id, completed(it.question, "Hi there")) == answer


@pytest.mark.parametrize("state", ["running", "sealed"])
async def test_recording_another_text_replaces_what_was_shown(streams: GenerationStreams, state: str) -> None:
    it = await (told(streams, "Wrong") if state == "running" else sealed(streams, "Wrong"))
    outcome = completed(it.question, "Right", thinking="Hm.", tool_calls=(CALL,), attempt=3)
    answer = await streams.recorded(it.id, outcome)
    events = await followed(streams, it.id)
    assert names_of(events) == [
        "accepted", "started", "token", "restarted", "thinking", "token", "tool_call", "completed",
    ]  # fmt: skip
    assert seqs_of(events) == list(range(8))
    snapshot = await stands(streams, it.id)
    assert (snapshot.text, snapshot.thinking, snapshot.tool_calls) == ("Right", "Hm.", (CALL,))
    assert (snapshot.state, snapshot.outcome, snapshot.last_id) == ("closed", outcome, events[-1].id)
    assert answer == Closed(str(events[-1].id))


async def test_recording_fences_whoever_still_writes(streams: GenerationStreams) -> None:
    it = await told(streams, "Hi")
    await streams.recorded(it.id, completed(it.question, "Hi"))
    assert await streams.append(it.id, it.epoch, it.next, tokens("!")) is Answer.FENCED
    assert await streams.renew(it.id, it.epoch) is Answer.FENCED
    assert await streams.close(it.id, it.epoch) is Answer.FENCED
    assert await streams.claim(it.id, "worker-1") is Answer.CLOSED


@pytest.mark.parametrize("state", ["admitted", "accepted"])
async def test_recording_what_never_showed_anything_shows_it_whole(streams: GenerationStreams, state: str) -> None:
    asked = await (created(streams) if state == "admitted" else accepted(streams))
    await streams.recorded(asked.generation_id, completed(asked, "Right"))
    events = await followed(streams, asked.generation_id)
    assert names_of(events) == ["accepted", "token", "completed"]
    assert text_of(events) == "Right"


async def test_recording_an_empty_reply_voids_the_text_that_was_shown(streams: GenerationStreams) -> None:
    it = await told(streams, "Half")
    await streams.recorded(it.id, cancelled(it.question))
    events = await followed(streams, it.id)
    assert names_of(events) == ["accepted", "started", "token", "restarted", "cancelled"]
    assert text_of(events) == ""


async def test_void_text_is_not_compared(streams: GenerationStreams) -> None:
    it = await told(streams, "Old")
    await streams.append(it.id, it.epoch, it.next, [restarted(), *tokens("New")])
    await streams.recorded(it.id, completed(it.question, "New"))
    assert names_of(await followed(streams, it.id)).count("restarted") == 1


@pytest.mark.parametrize("recorded", [(), (CALL.model_copy(update={"id": "call-2"}),), (CALL, CALL)])
async def test_tool_calls_that_differ_are_replaced(streams: GenerationStreams, recorded: tuple[object, ...]) -> None:
    it = await told(streams, "Look:")
    await streams.append(it.id, it.epoch, it.next, [tool_call()])
    await streams.recorded(it.id, completed(it.question, "Look:", tool_calls=recorded))
    snapshot = await stands(streams, it.id)
    assert (snapshot.text, snapshot.tool_calls) == ("Look:", recorded)


async def test_thinking_and_calls_that_are_the_same_stay(streams: GenerationStreams) -> None:
    it = await told(streams, "Look:")
    await streams.append(it.id, it.epoch, it.next, [(encode(Thinking(text="Hm.")), 1), tool_call()])
    await streams.recorded(it.id, completed(it.question, "Look:", thinking="Hm.", tool_calls=(CALL,)))
    assert "restarted" not in names_of(await followed(streams, it.id))


async def test_thinking_that_differs_is_replaced(streams: GenerationStreams) -> None:
    it = await told(streams, "Yes.")
    await streams.recorded(it.id, completed(it.question, "Yes.", thinking="Hm."))
    snapshot = await stands(streams, it.id)
    assert (snapshot.text, snapshot.thinking) == ("Yes.", "Hm.")


async def test_outcomes_come_back_whole(streams: GenerationStreams) -> None:
    it = await told(streams, "Hi")
    await streams.cancel(it.question.owner, it.id, cancelled(it.question))
    outcome = ReplyCancelled.model_validate(completed(it.question, "Hi", backend="one").model_dump(exclude={"kind"}))
    assert await streams.seal(it.id, it.epoch, it.next, outcome) is Answer.OK
    answer = await streams.claim(it.id, "worker-2")
    assert answer == Sealed(outcome)
    assert not isinstance(answer, ReplyCompleted)


async def test_a_claim_after_a_release_by_the_fenced_changes_nothing(streams: GenerationStreams) -> None:
    it = await told(streams, "Hi")
    run = await claimed(streams, it.question)
    assert await streams.seal(it.id, run.epoch, run.next, completed(it.question, "Hi")) is Answer.OK
    assert await streams.release(it.id, it.epoch) is Answer.FENCED
    assert (await stands(streams, it.id)).state == "sealed"
