"""Following on Redis: one subscription a stream, bounded memory, messages that get lost, Redis away for long."""

import asyncio
from contextlib import aclosing

import pytest
import redis.asyncio

from contracts.errors import Unavailable
from infra.redis import follower as following
from infra.redis.streams import RedisGenerationStreams
from tests.contract.ports.streams.story import (
    Told,
    end,
    followed,
    seqs_of,
    text_of,
    tokens,
    told,
)
from tests.eventually import eventually
from tests.servers.redis import RedisServer


async def listeners(admin: redis.asyncio.Redis, generation_id: str) -> int:
    return (await admin.pubsub_numsub(f"{{g:{generation_id}}}:p"))[0][1]


async def test_all_followers_of_a_stream_share_one_subscription_and_the_bytes(
    admin: redis.asyncio.Redis, streams: RedisGenerationStreams
) -> None:
    it = await told(streams)
    async with aclosing(streams.follow(it.id)) as one, aclosing(streams.follow(it.id)) as two:
        for batches in (one, two):
            await anext(batches)
        assert await listeners(admin, it.id) == 1
        await streams.append(it.id, it.epoch, it.next, tokens("shared"))
        (first,), (second,) = (await anext(one)).events, (await anext(two)).events
        assert first.encoded is second.encoded
    assert await listeners(admin, it.id) == 0


async def test_five_hundred_followers_cost_one_subscription_and_leave_nothing_behind(
    admin: redis.asyncio.Redis, streams: RedisGenerationStreams
) -> None:
    it = await told(streams)
    readers = [asyncio.create_task(followed(streams, it.id)) for _ in range(500)]
    await eventually(lambda: (all_here := streams.followers._followed.get(it.id)) and len(all_here.followers) == 500)
    await eventually(lambda: listeners(admin, it.id))
    assert await listeners(admin, it.id) == 1
    await end(streams, it)
    assert {len(one) for one in await asyncio.gather(*readers)} == {3}
    assert await listeners(admin, it.id) == 0
    assert await admin.pubsub_channels() == []


async def test_a_message_that_got_lost_is_found_by_the_look(
    admin: redis.asyncio.Redis, streams: RedisGenerationStreams
) -> None:
    it = await told(streams)
    async with aclosing(streams.follow(it.id)) as batches:
        await anext(batches)
        key = f"{{g:{it.id}}}"
        event, last = tokens("unheard")[0][0], f"{it.epoch}-{it.next}"
        await admin.xadd(f"{key}:s", {"e": event, "n": 1}, id=last)
        await admin.hset(key, mapping={"next": it.next + 1, "last_id": last})
        events = (await anext(batches)).events
        while not events:
            events = (await anext(batches)).events
        assert text_of(events) == "unheard"


async def test_a_message_after_a_gap_makes_the_log_be_read(
    server: RedisServer, admin: redis.asyncio.Redis, streams: RedisGenerationStreams
) -> None:
    it = await told(streams)
    async with RedisGenerationStreams(server.url, look=60) as edge, aclosing(edge.follow(it.id)) as batches:
        await anext(batches)
        key = f"{{g:{it.id}}}"
        await admin.xadd(f"{key}:s", {"e": tokens("unheard ")[0][0], "n": 1}, id=f"{it.epoch}-{it.next}")
        await admin.hset(key, mapping={"next": it.next + 1, "last_id": f"{it.epoch}-{it.next}"})
        await streams.append(it.id, it.epoch, it.next + 1, tokens("heard"))
        events = (await asyncio.wait_for(anext(batches), 3)).events
        assert text_of(events) == "unheard heard"
        assert seqs_of(events) == [it.next, it.next + 1]


async def test_messages_that_nobody_understands_do_no_harm(
    admin: redis.asyncio.Redis, streams: RedisGenerationStreams
) -> None:
    it = await told(streams)
    reader = asyncio.create_task(followed(streams, it.id))
    await eventually(lambda: listeners(admin, it.id))
    older = f"{it.epoch - 1}-{it.next} ".encode() + tokens("of an older epoch")[0][0]
    for nonsense in (
        b"",
        b"nonsense",
        b"1-x {}",
        b"\xff\xfe 1",
        b"999999999999999-0 {}",
        f"{it.epoch}-99 {{}}".encode(),
        older,
    ):
        await admin.publish(f"{{g:{it.id}}}:p", nonsense)
    await streams.append(it.id, it.epoch, it.next, tokens("Hi"))
    await end(streams, Told(it.question, it.epoch, it.next + 1))
    events = await reader
    assert (text_of(events), seqs_of(events)) == ("Hi", [0, 1, 2, 3])


async def test_what_waits_for_a_slow_follower_is_bounded(streams: RedisGenerationStreams) -> None:
    it = await told(streams)
    async with streams.followers.joined(it.id, None) as slow, aclosing(slow.batches()) as batches:
        events = list((await anext(batches)).events)
        text = "x" * 4096
        for number in range(200):
            await streams.append(it.id, it.epoch, it.next + number, tokens(text))
            assert slow.waiting[1] <= following.MOST_BYTES
        assert slow.waiting == (0, 0)  # 800 KB: it fell behind, and reads the log
        while len(events) < it.next + 200:
            events += (await anext(batches)).events
        assert seqs_of(events) == list(range(it.next + 200))


async def test_many_small_messages_are_bounded_too(streams: RedisGenerationStreams) -> None:
    it = await told(streams)
    async with streams.followers.joined(it.id, None) as slow, aclosing(slow.batches()) as batches:
        await anext(batches)
        most = 0
        for number in range(following.MOST_MESSAGES * 2):
            await streams.append(it.id, it.epoch, it.next + number, tokens("x"))
            most = max(most, slow.waiting[0])
        assert 0 < most <= following.MOST_MESSAGES
        assert text_of((await anext(batches)).events) == "x" * following.MOST_MESSAGES * 2


async def test_followers_outlast_an_outage_with_empty_batches(
    server: RedisServer, streams: RedisGenerationStreams
) -> None:
    it = await told(streams, "before ")
    async with aclosing(streams.follow(it.id)) as batches:
        events = list((await anext(batches)).events)
        server.kill()
        for _ in range(5):
            batch = await asyncio.wait_for(anext(batches), 3)
            assert batch.events == ()
        await asyncio.to_thread(server.start)

        async def appended() -> bool:
            try:
                await streams.append(it.id, it.epoch, it.next, tokens("after"))
            except Unavailable:
                return False
            return True

        await eventually(appended)
        while text_of(events) != "before after":
            events += (await asyncio.wait_for(anext(batches), 3)).events


async def test_a_follower_gives_up_when_redis_stays_away(server: RedisServer) -> None:
    async with RedisGenerationStreams(server.url, look=0.2, unreadable=0.5) as streams:
        it = await told(streams)
        async with aclosing(streams.follow(it.id)) as batches:
            await anext(batches)
            server.kill()
            rest = asyncio.create_task(_rest(batches))
            with pytest.raises(Unavailable):
                await asyncio.wait_for(rest, 10)


async def _rest(batches: object) -> None:
    async for _ in batches:  # type: ignore[attr-defined]
        pass


async def test_joining_without_redis_is_unavailable_at_once(
    server: RedisServer, streams: RedisGenerationStreams
) -> None:
    it = await told(streams)
    server.kill()
    with pytest.raises(Unavailable):
        await asyncio.wait_for(followed(streams, it.id), 3)


async def test_emptied_under_its_feet_a_follower_sees_the_new_log(
    admin: redis.asyncio.Redis, streams: RedisGenerationStreams
) -> None:
    it = await told(streams, "Old", " text")
    async with aclosing(streams.follow(it.id)) as batches:
        events = list((await anext(batches)).events)
        await admin.flushall()
        again = await told(streams, "New", generation_id=it.id)
        while text_of(events) != "New":
            events += (await anext(batches)).events
    restart = next(place for place, one in enumerate(events) if one.id is None)
    assert seqs_of(events[restart + 1 :]) == list(range(again.next))
