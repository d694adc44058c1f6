"""Admission: how many generations a person may have alive, and by which lane they go."""

import pytest

from contracts.commands import Question
from contracts.ids import new_id
from contracts.ports.streams import Admitted, Answer, GenerationStreams, Limited, ReplyOpen, Same
from tests.contract.ports.streams.story import created, soon
from tests.factories import question

HOUR = 60
MINUTE_MS = 60_000


async def admitted(streams: GenerationStreams, owner: str, *, minutes: float = 15, batch: bool = False) -> str:
    """The lane by which that person's next generation goes."""
    asked = question(owner=owner)
    answer = await streams.admit(asked, explicit_parent=False, deadline=soon(minutes), batch=batch)
    assert isinstance(answer, Admitted)
    return answer.lane


async def capped(streams: GenerationStreams, asked: Question, cap: int) -> object:
    return await streams.admit(asked, explicit_parent=False, deadline=soon(), cap=cap)


async def test_a_persons_third_live_generation_goes_by_the_bulk_lane(streams: GenerationStreams) -> None:
    owner = new_id()
    lanes = [await admitted(streams, owner) for _ in range(4)]
    assert lanes == ["interactive", "interactive", "bulk", "bulk"]
    assert await admitted(streams, new_id()) == "interactive"


@pytest.mark.parametrize("how", ["settle", "leave", "drop"])
async def test_a_freed_slot_brings_the_interactive_lane_back(streams: GenerationStreams, how: str) -> None:
    first = question()
    await capped(streams, first, 20)
    assert await admitted(streams, first.owner) == "interactive"
    for _ in range(2):
        await getattr(streams, how)(first.owner, first.generation_id)
    assert [await admitted(streams, first.owner) for _ in range(2)] == ["interactive", "bulk"]


async def test_what_is_asked_for_in_batches_goes_by_its_own_lane_and_holds_slots(streams: GenerationStreams) -> None:
    owner = new_id()
    assert [await admitted(streams, owner, batch=True) for _ in range(3)] == ["batch"] * 3
    assert await admitted(streams, owner) == "bulk"


async def test_a_person_at_the_cap_is_told_how_long_the_first_deadline_takes(streams: GenerationStreams) -> None:
    first = question()
    await streams.admit(first, explicit_parent=False, deadline=soon(3))
    await streams.admit(question(owner=first.owner), explicit_parent=False, deadline=soon(2))
    refused = question(owner=first.owner)
    answer = await capped(streams, refused, 2)
    assert isinstance(answer, Limited)
    assert 2 * MINUTE_MS - 10_000 < answer.ms <= 2 * MINUTE_MS
    assert refused not in await streams.open(first.owner)
    assert await capped(streams, refused, 3) == Admitted("bulk")


async def test_the_cap_is_each_persons_own(streams: GenerationStreams) -> None:
    first = question()
    assert await capped(streams, first, 1) == Admitted("interactive")
    assert isinstance(await capped(streams, question(owner=first.owner), 1), Limited)
    assert await capped(streams, question(), 1) == Admitted("interactive")


async def test_a_cap_of_nothing_admits_nothing(streams: GenerationStreams) -> None:
    assert await capped(streams, question(), 0) == Limited(1)


@pytest.mark.parametrize("how", ["settle", "leave", "drop"])
async def test_a_slot_is_free_once_its_generation_is_over(streams: GenerationStreams, how: str) -> None:
    first = question()
    await capped(streams, first, 1)
    second = question(owner=first.owner)
    assert isinstance(await capped(streams, second, 1), Limited)
    await getattr(streams, how)(first.owner, first.generation_id)
    assert await capped(streams, second, 1) == Admitted("interactive")


async def test_what_is_past_its_deadline_holds_its_slot_for_another_hour(streams: GenerationStreams) -> None:
    owner = new_id()
    await admitted(streams, owner, minutes=-HOUR + 1)
    assert await capped(streams, question(owner=owner), 1) == Limited(1)
    other = new_id()
    await admitted(streams, other, minutes=-HOUR - 1)
    assert await capped(streams, question(owner=other), 1) == Admitted("interactive")


async def test_a_branch_that_is_being_written_is_said_before_the_cap(streams: GenerationStreams) -> None:
    first = question()
    await capped(streams, first, 1)
    second = question(owner=first.owner, chat_id=first.chat_id)
    assert await capped(streams, second, 1) == ReplyOpen(first.generation_id)


async def test_the_very_same_generation_is_said_before_the_cap(streams: GenerationStreams) -> None:
    first = question()
    await capped(streams, first, 1)
    assert await capped(streams, first, 1) == Same(first.generation_id)


async def test_an_aborted_generation_holds_its_slot_until_it_is_dropped(streams: GenerationStreams) -> None:
    asked = await created(streams)
    assert await streams.abort(asked.generation_id) is Answer.OK
    assert isinstance(await capped(streams, question(owner=asked.owner), 1), Limited)
    await streams.drop(asked.owner, asked.generation_id)
    assert await capped(streams, question(owner=asked.owner), 1) == Admitted("interactive")
