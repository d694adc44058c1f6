"""Admission: a caller's own keys, under which a repeat finds what was admitted before."""

import asyncio

import pytest

from contracts.commands import Question
from contracts.ids import new_id
from contracts.ports.streams import Admitted, Answer, GenerationStreams, IdempotencyKey, Limited, ReplyOpen, Same
from tests.contract.ports.streams.places import Place
from tests.contract.ports.streams.story import soon
from tests.factories import question

HOUR = 3600.0
KEY = IdempotencyKey("retry-1", "ab" * 32)
OTHER_BODY = IdempotencyKey("retry-1", "cd" * 32)


async def admit(
    streams: GenerationStreams, asked: Question, key: IdempotencyKey | None = KEY, cap: int = 20
) -> Admitted | Same | ReplyOpen | Limited | Answer:
    """With that key."""
    return await streams.admit(asked, explicit_parent=False, deadline=soon(), key=key, cap=cap)


async def test_a_repeat_under_one_key_finds_what_was_admitted(streams: GenerationStreams) -> None:
    first = question()
    assert await streams.repeated(first.owner, KEY) is None
    assert await admit(streams, first) == Admitted("interactive")
    for _ in range(2):
        assert await admit(streams, question(owner=first.owner)) == Same(first.generation_id)
        assert await streams.repeated(first.owner, KEY) == Same(first.generation_id)
    assert await streams.open(first.owner) == [first]


async def test_a_key_with_another_body_is_a_mismatch(streams: GenerationStreams) -> None:
    first = question()
    await admit(streams, first)
    for _ in range(2):
        assert await admit(streams, question(owner=first.owner), OTHER_BODY) is Answer.MISMATCH
        assert await streams.repeated(first.owner, OTHER_BODY) is Answer.MISMATCH
    assert await admit(streams, first, OTHER_BODY) is Answer.MISMATCH
    assert await streams.open(first.owner) == [first]
    assert await streams.repeated(first.owner, KEY) == Same(first.generation_id)


async def test_equal_keys_of_two_persons_never_meet(streams: GenerationStreams) -> None:
    first, second = question(), question()
    assert await admit(streams, first) == Admitted("interactive")
    assert await streams.repeated(second.owner, OTHER_BODY) is None
    assert await admit(streams, second, OTHER_BODY) == Admitted("interactive")
    await streams.drop(second.owner, first.generation_id)
    await streams.drop(second.owner, second.generation_id)
    assert await streams.repeated(first.owner, KEY) == Same(first.generation_id)
    assert await streams.repeated(second.owner, OTHER_BODY) is None


@pytest.mark.parametrize("value", ["", "-", " ", "a b\nc", "{u:x}", "ключ", "*", "k" * 10_000, "\x00"])
async def test_a_key_may_hold_anything(streams: GenerationStreams, value: str) -> None:
    first, key = question(), IdempotencyKey(value, KEY.sha)
    assert await admit(streams, first, key) == Admitted("interactive")
    assert await streams.repeated(first.owner, key) == Same(first.generation_id)
    assert await streams.repeated(first.owner, IdempotencyKey(value + "1", KEY.sha)) is None
    await streams.drop(first.owner, first.generation_id)
    assert await streams.repeated(first.owner, key) is None


async def test_without_keys_nothing_is_a_repeat(streams: GenerationStreams) -> None:
    first = question()
    assert await admit(streams, first, None) == Admitted("interactive")
    assert await admit(streams, question(owner=first.owner), None) == Admitted("interactive")
    assert await streams.repeated(first.owner, KEY) is None


async def test_a_key_is_said_before_the_branch_and_the_cap(streams: GenerationStreams) -> None:
    first = question()
    await admit(streams, first)
    again = question(owner=first.owner, chat_id=first.chat_id)
    assert await admit(streams, again, cap=1) == Same(first.generation_id)
    assert await admit(streams, again, OTHER_BODY, cap=1) is Answer.MISMATCH


async def test_a_key_is_said_before_the_very_same_generation(streams: GenerationStreams) -> None:
    first, second = question(), question()
    second = second.model_copy(update={"owner": first.owner})
    await admit(streams, first)
    await admit(streams, second, None)
    assert await admit(streams, second) == Same(first.generation_id)


@pytest.mark.parametrize("why", ["branch", "cap"])
async def test_what_is_refused_keeps_no_key(streams: GenerationStreams, why: str) -> None:
    first = question()
    await admit(streams, first, None)
    refused = question(owner=first.owner, **({"chat_id": first.chat_id} if why == "branch" else {}))
    answer = await admit(streams, refused, cap=1)
    assert isinstance(answer, ReplyOpen if why == "branch" else Limited)
    assert await streams.repeated(first.owner, KEY) is None
    await streams.drop(first.owner, first.generation_id)
    assert await admit(streams, refused) == Admitted("interactive")


async def test_what_never_happened_leaves_its_key_new(streams: GenerationStreams) -> None:
    first = question()
    await admit(streams, first)
    for _ in range(2):
        await streams.drop(first.owner, first.generation_id)
        assert await streams.repeated(first.owner, KEY) is None
    second = question(owner=first.owner)
    assert await admit(streams, second, OTHER_BODY) == Admitted("interactive")
    await streams.drop(first.owner, first.generation_id)
    assert await streams.repeated(first.owner, OTHER_BODY) == Same(second.generation_id)


async def test_what_is_recorded_is_found_by_its_key(streams: GenerationStreams) -> None:
    first = question()
    await admit(streams, first)
    for _ in range(2):
        await streams.leave(first.owner, first.generation_id)
        await streams.settle(first.owner, first.generation_id)
        assert await streams.open(first.owner) == []
        assert await streams.repeated(first.owner, KEY) == Same(first.generation_id)
    await streams.drop(first.owner, first.generation_id)
    assert await admit(streams, question(owner=first.owner)) == Same(first.generation_id)


async def test_a_key_is_kept_for_a_day(place: Place, streams: GenerationStreams) -> None:
    first = question()
    await admit(streams, first)
    await place.later(24 * HOUR - 60)
    assert await streams.repeated(first.owner, KEY) == Same(first.generation_id)
    await place.later(61)
    assert await streams.repeated(first.owner, KEY) is None
    second = question(owner=first.owner)
    assert await admit(streams, second) == Admitted("interactive")
    await streams.drop(first.owner, first.generation_id)
    assert await streams.repeated(first.owner, KEY) == Same(second.generation_id), "it was the first one's no more"


async def test_of_many_at_once_under_one_key_one_is_admitted(place: Place, streams: GenerationStreams) -> None:
    owner = new_id()
    async with place.process() as other:
        answers = await asyncio.gather(
            *(admit(edge, question(owner=owner)) for _ in range(10) for edge in (streams, other))
        )
    (winner,) = await streams.open(owner)
    assert answers.count(Admitted("interactive")) == 1
    assert answers.count(Same(winner.generation_id)) == 19
