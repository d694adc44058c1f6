"""The sweep: what was admitted, until somebody notes that it was recorded."""

from collections.abc import AsyncGenerator
from datetime import UTC, datetime, timedelta

import pytest

from contracts.commands import Question
from contracts.ids import new_id
from contracts.ports.lines import Due
from contracts.ports.streams import Admitted, GenerationStreams, IdempotencyKey
from tests.contract.ports.streams.story import closed, soon
from tests.factories import completed, question

KEY = IdempotencyKey("retry-1", "ab" * 32)
LONG_AGO = datetime(2020, 2, 2, tzinfo=UTC)
"""Before whatever other tests of this run left in the database."""


@pytest.fixture
async def streams(streams: GenerationStreams) -> AsyncGenerator[GenerationStreams, None]:
    """What a test left from long ago is swept behind it."""
    yield streams
    for due in await streams.due(LONG_AGO + timedelta(days=1), 1000):
        await streams.swept(due.owner, due.generation_id)


async def noted(streams: GenerationStreams, asked: Question, deadline: datetime | None = None, **more: object) -> bool:
    """Admit it; whether it was."""
    answer = await streams.admit(
        asked, explicit_parent=False, deadline=deadline or soon(), **more  # pyright: ignore[reportArgumentType]
    )  # fmt: skip
    return isinstance(answer, Admitted)


async def due(streams: GenerationStreams, owner: str, before: datetime | None = None) -> list[str]:
    """That person's generations for the sweep."""
    late = await streams.due(before or soon(100), 10_000)
    return [one.generation_id for one in late if one.owner == owner]


async def test_what_was_admitted_is_due_once_its_deadline_has_passed(streams: GenerationStreams) -> None:
    asked = question()
    assert await noted(streams, asked, LONG_AGO)
    assert await streams.due(LONG_AGO, 10) == []
    for _ in range(2):
        assert await streams.due(LONG_AGO + timedelta(milliseconds=1), 10) == [
            Due(asked.owner, asked.generation_id, LONG_AGO)
        ]


async def test_the_oldest_come_first_and_no_more_than_asked_for(streams: GenerationStreams) -> None:
    asked = [question() for _ in range(40)]
    for place, one in enumerate(asked[::2] + asked[1::2]):
        assert await noted(streams, one, LONG_AGO + timedelta(seconds=place))
    oldest = [one.generation_id for one in asked[::2] + asked[1::2]]
    before = LONG_AGO + timedelta(days=1)
    assert [one.generation_id for one in await streams.due(before, 100)] == oldest
    assert [one.generation_id for one in await streams.due(before, 7)] == oldest[:7]
    assert [one.generation_id for one in await streams.due(LONG_AGO + timedelta(seconds=3), 7)] == oldest[:3]


async def test_what_is_swept_is_not_due_again(streams: GenerationStreams) -> None:
    asked, other = question(), question()
    for one in (asked, other):
        await noted(streams, one)
    for _ in range(2):
        await streams.swept(asked.owner, asked.generation_id)
        assert await due(streams, asked.owner) == []
    await streams.swept(asked.owner, other.generation_id)
    assert await due(streams, other.owner) == [other.generation_id], "nobody else's"


async def test_what_never_happened_is_not_due(streams: GenerationStreams) -> None:
    asked = question()
    await noted(streams, asked, key=KEY)
    for _ in range(2):
        await streams.drop(asked.owner, asked.generation_id)
        assert await due(streams, asked.owner) == []


async def test_what_ended_is_due_until_somebody_sweeps_it(streams: GenerationStreams) -> None:
    it = await closed(streams, "Hi")
    await streams.recorded(it.id, completed(it.question, "Hi"))
    await streams.settle(it.question.owner, it.id)
    await streams.leave(it.question.owner, it.id)
    assert await due(streams, it.question.owner) == [it.id]


@pytest.mark.parametrize("why", ["same", "mismatch", "branch", "cap"])
async def test_what_is_not_admitted_leaves_no_note(streams: GenerationStreams, why: str) -> None:
    first = question()
    assert await noted(streams, first, key=KEY)
    chat = {"chat_id": first.chat_id} if why == "branch" else {}
    more: dict[str, object] = {
        "same": {"key": KEY},
        "mismatch": {"key": IdempotencyKey(KEY.value, "cd" * 32)},
        "branch": {},
        "cap": {"cap": 1},
    }[why]
    for _ in range(2):
        assert not await noted(streams, question(owner=first.owner, **chat), **more)
    assert await due(streams, first.owner) == [first.generation_id]


async def test_admitting_the_very_same_generation_again_leaves_its_note_as_it_was(streams: GenerationStreams) -> None:
    asked = question()
    await noted(streams, asked, soon(-5), key=KEY)
    for more in ({"key": KEY}, {}):
        assert not await noted(streams, asked, soon(), **more)
    assert await due(streams, asked.owner, soon(-4)) == [asked.generation_id]


async def test_nothing_is_due_where_nothing_is_asked_for(streams: GenerationStreams) -> None:
    await noted(streams, question(), LONG_AGO)
    assert await streams.due(LONG_AGO + timedelta(days=1), 0) == []
    await streams.swept(new_id(), new_id())
