"""The head of a log: how it stands, whatever its size, without its events."""

import asyncio
from dataclasses import replace
from typing import get_args

import pytest

from contracts.ids import new_id
from contracts.ports.streams import GenerationStreams, State
from tests.contract.ports.streams.places import Place
from tests.contract.ports.streams.story import brought_to, closed, created, end, stands, told
from tests.factories import completed


@pytest.mark.parametrize("state", [one for one in get_args(State) if one != "aborted"])
async def test_a_head_is_what_reading_gives_without_the_text(streams: GenerationStreams, state: State) -> None:
    asked = await brought_to(streams, state)
    head = await streams.head(asked.generation_id)
    assert head is not None
    assert (head.state, head.question) == (state, asked)
    whole = await stands(streams, asked.generation_id)
    assert head == replace(whole, text="", thinking="", tool_calls=(), events=())


async def test_a_head_tells_of_an_aborted_log(streams: GenerationStreams) -> None:
    asked = await created(streams)
    await streams.abort(asked.generation_id)
    head = await streams.head(asked.generation_id)
    assert head is not None
    assert (head.state, head.question) == ("aborted", asked)
    assert await streams.read([asked.generation_id]) == [None]


async def test_without_a_log_there_is_no_head(place: Place, streams: GenerationStreams) -> None:
    it = await closed(streams, "a")
    await place.lose(it.id)
    assert await streams.head(it.id) is None
    assert await streams.head(new_id()) is None


async def test_the_head_of_an_ended_log_has_its_outcome(streams: GenerationStreams) -> None:
    it = await told(streams, "a")
    outcome = completed(it.question, "a")
    await end(streams, it, outcome)
    head, *others = await asyncio.gather(*(streams.head(it.id) for _ in range(3)))
    assert head is not None
    assert (head.outcome, head.kind) == (outcome, "completed")
    assert others == [head, head]
