"""Rate limits on Redis: shared by all edges, gone when the window is whole."""

from collections.abc import Callable

import redis.asyncio

from contracts.ids import new_id
from infra.redis.limits import RedisRateLimits


async def test_two_edges_share_one_limit(new_redis_url: Callable[[], str]) -> None:
    url, key = new_redis_url(), new_id()
    async with RedisRateLimits(url) as one, RedisRateLimits(url) as two:
        taken = [await edge.take(key, 3, 60) for edge in (one, two, one, two)]
    assert [edge.allowed for edge in taken] == [True, True, True, False]


async def test_keys_are_prefixed_and_expire(new_redis_url: Callable[[], str]) -> None:
    url, key = new_redis_url(), new_id()
    async with RedisRateLimits(url) as limits, redis.asyncio.Redis.from_url(url) as client:
        taken = await limits.take(key, 10, 60)
        assert await client.keys("*") == [f"limit:{key}".encode()]
        assert 0 < await client.pttl(f"limit:{key}") <= taken.reset_ms <= 6000


async def test_scripts_that_redis_forgot_are_loaded_again(new_redis_url: Callable[[], str]) -> None:
    url, key = new_redis_url(), new_id()
    async with RedisRateLimits(url) as limits, redis.asyncio.Redis.from_url(url) as client:
        await limits.take(key, 2, 60)
        await client.script_flush()
        assert (await limits.take(key, 2, 60)).remaining == 0
