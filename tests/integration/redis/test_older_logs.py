"""Logs made by an older version lack the fields of the newer one; two versions of the workers run side by side."""

import pytest
import redis.asyncio

from contracts.ports.streams import Answer, Run, Sealed
from infra.redis.streams import RedisGenerationStreams
from tests.contract.ports.streams.story import Told, accepted, cancelled, claimed, end, stands, tokens, told

NEWER = ("spoke", "deaths", "takeovers", "born", "lane")


async def age(admin: redis.asyncio.Redis, generation_id: str) -> None:
    """As the older version would have left it."""
    await admin.hdel(f"{{g:{generation_id}}}", *NEWER)


async def test_it_is_run_and_its_first_event_tells_when_it_was_born(
    admin: redis.asyncio.Redis, streams: RedisGenerationStreams
) -> None:
    asked = await accepted(streams)
    first = (await stands(streams, asked.generation_id)).events[0]
    await age(admin, asked.generation_id)
    run = await claimed(streams, asked)
    assert (run.deaths, f"{run.born}-0") == (0, first.id)
    await streams.append(asked.generation_id, run.epoch, run.next, tokens("Hi"))
    await end(streams, Told(asked, run.epoch, run.next + 1))


async def test_deaths_are_counted_from_none(admin: redis.asyncio.Redis, streams: RedisGenerationStreams) -> None:
    it = await told(streams)
    await age(admin, it.id)
    assert (await claimed(streams, it.question, "heir-1")).deaths == 1
    await age(admin, it.id)
    assert (await claimed(streams, it.question, "heir-2")).deaths == 1
    assert await streams.claim(it.id, "heir-3") is Answer.QUARANTINE


@pytest.mark.parametrize("lost_stream", [False, True])
async def test_without_its_events_nobody_knows_when_it_was_born(
    admin: redis.asyncio.Redis, streams: RedisGenerationStreams, lost_stream: bool
) -> None:
    it = await told(streams)
    await age(admin, it.id)
    if lost_stream:
        await admin.delete(f"{{g:{it.id}}}:s")
    run = await streams.claim(it.id, "heir")
    assert isinstance(run, Run)
    assert (run.born == 0) is lost_stream


async def test_it_is_sealed_by_others(admin: redis.asyncio.Redis, streams: RedisGenerationStreams) -> None:
    it = await told(streams, "Hi")
    await age(admin, it.id)
    assert await streams.seal(it.id, None, it.next, cancelled(it.question)) is Answer.OK
    await age(admin, it.id)
    assert isinstance(await streams.claim(it.id, "heir"), Sealed)
