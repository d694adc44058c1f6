"""The edge's side: open entries, the log's beginning, confirm and abort."""

import pytest

from contracts.generation import Accepted, decode
from contracts.ids import new_id
from contracts.ports.streams import Admitted, Answer, Created, Exists, GenerationStreams, ReplyOpen, Same, State
from tests.contract.ports.streams.places import Place
from tests.contract.ports.streams.story import STATES, brought_to, created, soon, stands, told
from tests.factories import question

HOUR = 60


async def test_an_admitted_question_is_open_for_its_owner_alone(streams: GenerationStreams) -> None:
    asked = question(content="Łódź?\nA second line.", parent_id=new_id(), system="Be brief.")
    assert await streams.admit(asked, explicit_parent=False, deadline=soon()) == Admitted("interactive")
    assert await streams.open(asked.owner) == [asked]
    assert await streams.open(new_id()) == []


async def test_the_very_same_generation_is_admitted_once(streams: GenerationStreams) -> None:
    asked = question()
    assert await streams.admit(asked, explicit_parent=False, deadline=soon()) == Admitted("interactive")
    for _ in range(2):
        assert await streams.admit(asked, explicit_parent=False, deadline=soon(20)) == Same(asked.generation_id)
    await streams.settle(asked.owner, asked.generation_id)
    assert await streams.admit(asked, explicit_parent=False, deadline=soon()) == Same(asked.generation_id)
    assert await streams.open(asked.owner) == [asked]


async def test_a_chat_whose_reply_is_being_written_takes_no_question_without_a_parent(
    streams: GenerationStreams,
) -> None:
    first = question()
    await streams.admit(first, explicit_parent=False, deadline=soon())
    second = question(owner=first.owner, chat_id=first.chat_id)
    answer = await streams.admit(second, explicit_parent=False, deadline=soon())
    assert answer == ReplyOpen(first.generation_id)
    assert await streams.open(first.owner) == [first]


async def test_other_chats_and_other_people_are_not_held_up(streams: GenerationStreams) -> None:
    first = question()
    await streams.admit(first, explicit_parent=False, deadline=soon())
    for other in (question(owner=first.owner), question(chat_id=first.chat_id)):
        assert await streams.admit(other, explicit_parent=False, deadline=soon()) == Admitted("interactive")


@pytest.mark.parametrize("parent", ["reply_id", "message_id"])
async def test_an_explicit_parent_that_is_being_written_is_refused(streams: GenerationStreams, parent: str) -> None:
    first = question()
    await streams.admit(first, explicit_parent=False, deadline=soon())
    second = question(owner=first.owner, chat_id=first.chat_id, parent_id=getattr(first, parent))
    answer = await streams.admit(second, explicit_parent=True, deadline=soon())
    assert answer == ReplyOpen(first.generation_id)


@pytest.mark.parametrize("parent", [None, "elsewhere"])
async def test_an_explicit_parent_on_another_branch_is_welcome(streams: GenerationStreams, parent: str | None) -> None:
    first = question()
    await streams.admit(first, explicit_parent=False, deadline=soon())
    second = question(owner=first.owner, chat_id=first.chat_id, parent_id=parent)
    assert await streams.admit(second, explicit_parent=True, deadline=soon()) == Admitted("interactive")
    assert {one.generation_id for one in await streams.open(first.owner)} == {
        first.generation_id, second.generation_id,
    }  # fmt: skip


async def test_a_settled_generation_frees_its_branch_and_stays_open_until_it_is_dropped(
    streams: GenerationStreams,
) -> None:
    first = question()
    await streams.admit(first, explicit_parent=False, deadline=soon())
    await streams.settle(first.owner, first.generation_id)
    assert await streams.open(first.owner) == [first]
    second = question(owner=first.owner, chat_id=first.chat_id)
    assert await streams.admit(second, explicit_parent=False, deadline=soon()) == Admitted("interactive")
    for _ in range(2):
        await streams.drop(first.owner, first.generation_id)
    assert await streams.open(first.owner) == [second]


async def test_a_dropped_generation_frees_its_branch(streams: GenerationStreams) -> None:
    first = question()
    await streams.admit(first, explicit_parent=False, deadline=soon())
    await streams.drop(first.owner, first.generation_id)
    second = question(owner=first.owner, chat_id=first.chat_id)
    assert await streams.admit(second, explicit_parent=False, deadline=soon()) == Admitted("interactive")


async def test_an_entry_an_hour_past_its_deadline_is_ignored(streams: GenerationStreams) -> None:
    old = question()
    await streams.admit(old, explicit_parent=False, deadline=soon(-HOUR - 1))
    fresh = question(owner=old.owner)
    await streams.admit(fresh, explicit_parent=False, deadline=soon(-HOUR + 1))
    assert await streams.open(old.owner) == [fresh]
    later = question(owner=old.owner, chat_id=old.chat_id)
    assert await streams.admit(later, explicit_parent=False, deadline=soon()) == Admitted("interactive")


async def test_nobody_elses_entry_can_be_dropped_or_settled(streams: GenerationStreams) -> None:
    asked = question()
    await streams.admit(asked, explicit_parent=False, deadline=soon())
    await streams.drop(new_id(), asked.generation_id)
    await streams.settle(new_id(), asked.generation_id)
    again = question(owner=asked.owner, chat_id=asked.chat_id)
    assert await streams.admit(again, explicit_parent=False, deadline=soon()) == ReplyOpen(asked.generation_id)
    assert await streams.open(asked.owner) == [asked]


async def test_a_log_begins_with_accepted_under_its_epoch(streams: GenerationStreams) -> None:
    asked = question()
    made = await streams.create(asked, starts_before=soon(), deadline=soon())
    assert isinstance(made, Created)
    assert 2**50 < made.epoch < 2**53
    snapshot = await stands(streams, asked.generation_id)
    assert (snapshot.question, snapshot.state, snapshot.attempt, snapshot.next) == (asked, "admitted", 0, 1)
    assert (snapshot.text, snapshot.kind, snapshot.outcome, snapshot.cancel) == ("", None, None, False)
    first = await anext(aiter(streams.follow(asked.generation_id)))
    assert [one.id for one in first.events] == [f"{made.epoch}-0"] == [snapshot.last_id]
    assert decode(first.events[0].encoded) == Accepted(
        generation_id=asked.generation_id, chat_id=asked.chat_id, message_id=asked.message_id,
        reply_id=asked.reply_id, model=asked.model,
    )  # fmt: skip


@pytest.mark.parametrize("state", STATES)
async def test_a_log_is_created_once(streams: GenerationStreams, state: State) -> None:
    asked = await brought_to(streams, state)
    before = await streams.read([asked.generation_id])
    assert await streams.create(asked, starts_before=soon(), deadline=soon()) == Exists(state)
    assert await streams.read([asked.generation_id]) == before


async def test_a_log_created_again_after_a_loss_has_a_new_epoch(place: Place, streams: GenerationStreams) -> None:
    asked = question()
    first = await streams.create(asked, starts_before=soon(), deadline=soon())
    await place.lose(asked.generation_id)
    second = await streams.create(asked, starts_before=soon(), deadline=soon())
    assert isinstance(first, Created)
    assert isinstance(second, Created)
    assert second.epoch != first.epoch


async def test_confirming_makes_an_admitted_generation_accepted(streams: GenerationStreams) -> None:
    asked = await created(streams)
    for _ in range(2):
        assert await streams.confirm(asked.generation_id) is Answer.OK
        assert (await stands(streams, asked.generation_id)).state == "accepted"


@pytest.mark.parametrize("state", ["running", "sealed", "closed"])
async def test_a_confirmation_that_comes_late_changes_nothing(streams: GenerationStreams, state: State) -> None:
    asked = await brought_to(streams, state)
    assert await streams.confirm(asked.generation_id) is Answer.OK
    assert (await stands(streams, asked.generation_id)).state == state


async def test_an_aborted_or_missing_log_is_not_confirmed(streams: GenerationStreams) -> None:
    asked = await brought_to(streams, "aborted")
    assert await streams.confirm(asked.generation_id) is Answer.ABORTED
    assert await streams.confirm(new_id()) is Answer.NOLOG


@pytest.mark.parametrize(
    ("state", "answer"),
    [
        ("admitted", Answer.OK),
        ("accepted", Answer.ACCEPTED),
        ("running", Answer.RUNNING),
        ("sealed", Answer.CLOSED),
        ("closed", Answer.CLOSED),
        ("aborted", Answer.OK),
    ],
)
async def test_only_what_was_promised_to_nobody_is_aborted(
    streams: GenerationStreams, state: State, answer: Answer
) -> None:
    asked = await brought_to(streams, state)
    for _ in range(2):
        assert await streams.abort(asked.generation_id) is answer
    (snapshot,) = await streams.read([asked.generation_id])
    assert (snapshot is None) == (answer is Answer.OK)


async def test_without_a_log_there_is_nothing_to_abort(streams: GenerationStreams) -> None:
    assert await streams.abort(new_id()) is Answer.OK


async def test_an_open_log_outlives_its_hard_deadline_by_an_hour(place: Place, streams: GenerationStreams) -> None:
    it = await told(streams, "Hi")
    assert 74 * 60 < await place.seconds_left(it.id) <= 75 * 60


async def test_logs_are_read_in_the_order_asked(streams: GenerationStreams) -> None:
    one, two = await created(streams), await created(streams)
    found = await streams.read([two.generation_id, new_id(), one.generation_id])
    assert [one and one.question for one in found] == [two, None, one]
    assert await streams.read([]) == []


async def test_the_streams_are_healthy(streams: GenerationStreams) -> None:
    assert await streams.check() is None
