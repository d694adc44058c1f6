"""Whole logs, as they stand."""

from collections.abc import AsyncGenerator

import pytest

from contracts.ids import new_id
from contracts.ports.streams import GenerationStreams
from tests.contract.ports.streams.places import Pace, Place
from tests.contract.ports.streams.story import accepted, closed, created, sealed, stands, told
from tests.eventually import eventually
from tests.factories import completed


@pytest.fixture
async def brief(place: Place) -> AsyncGenerator[GenerationStreams, None]:
    """Leases run out at once."""
    async with place.process(Pace(lease=0.15)) as opened:
        yield opened


async def leased(streams: GenerationStreams, generation_id: str) -> bool:
    """As both ways to read it say."""
    head = await streams.head(generation_id)
    assert head is not None
    snapshot = await stands(streams, generation_id)
    assert head.leased == snapshot.leased
    return snapshot.leased


async def test_who_runs_it_holds_its_lease(streams: GenerationStreams) -> None:
    waiting, running, outcome = await accepted(streams), await told(streams, "Hi"), await sealed(streams, "Hi")
    assert await leased(streams, waiting.generation_id) is False
    assert await leased(streams, running.id) is True
    assert await leased(streams, outcome.id) is True, "its worker publishes the outcome"


async def test_who_let_it_go_holds_no_lease(streams: GenerationStreams) -> None:
    it, ended = await told(streams, "Hi"), await closed(streams, "Hi")
    await streams.release(it.id, it.epoch)
    assert await leased(streams, it.id) is False
    assert await leased(streams, ended.id) is False
    recorded = await told(streams, "Hi")
    await streams.recorded(recorded.id, completed(recorded.question, "Hi"))
    assert await leased(streams, recorded.id) is False


async def test_a_lease_that_is_not_renewed_runs_out(brief: GenerationStreams) -> None:
    it = await told(brief, "Hi")

    async def over() -> bool:
        return not await leased(brief, it.id)

    assert await eventually(over)
    await brief.renew(it.id, it.epoch)
    assert await leased(brief, it.id) is True


async def test_many_logs_are_read_together_in_the_order_asked(streams: GenerationStreams) -> None:
    asked = [await created(streams) for _ in range(120)]
    wanted = [one.generation_id for one in reversed(asked)]
    wanted.insert(60, new_id())
    found = await streams.read(wanted)
    assert found.pop(60) is None  # pyright: ignore[reportAttributeAccessIssue] - a list, as both give it
    assert [one and one.question for one in found] == list(reversed(asked))
