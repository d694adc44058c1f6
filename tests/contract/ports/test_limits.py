"""`RateLimits` on every adapter: what is left, what to wait for, who shares a limit with whom."""

import asyncio
import time
from collections.abc import AsyncGenerator, Callable

import pytest

from contracts.ids import new_id
from contracts.ports.limits import Allowance, RateLimits
from infra.memory.limits import MemoryRateLimits
from infra.redis.limits import RedisRateLimits
from tests.eventually import eventually

HOUR = 3600.0


@pytest.fixture(scope="module")
def redis_url_of_limits(request: pytest.FixtureRequest) -> str:
    return request.getfixturevalue("new_redis_url")()


@pytest.fixture(params=["memory", "redis"])
def opening(request: pytest.FixtureRequest) -> Callable[[], MemoryRateLimits | RedisRateLimits]:
    """Makes the adapter that is tested."""
    if request.param == "memory":
        return MemoryRateLimits
    url = request.getfixturevalue("redis_url_of_limits")
    return lambda: RedisRateLimits(url)


@pytest.fixture
async def limits(opening: Callable[[], MemoryRateLimits | RedisRateLimits]) -> AsyncGenerator[RateLimits, None]:
    async with opening() as opened:
        yield opened


async def test_a_burst_up_to_the_limit_is_allowed_and_counted_down(limits: RateLimits) -> None:
    key = new_id()
    taken = [await limits.take(key, 5, HOUR) for _ in range(5)]
    assert [one.allowed for one in taken] == [True] * 5
    assert [one.remaining for one in taken] == [4, 3, 2, 1, 0]
    assert [one.retry_after_ms for one in taken] == [0] * 5


async def test_beyond_the_limit_the_wait_is_told(limits: RateLimits) -> None:
    key = new_id()
    for _ in range(4):
        await limits.take(key, 4, HOUR)
    refused = await limits.take(key, 4, HOUR)
    assert (refused.allowed, refused.remaining) == (False, 0)
    assert refused.retry_after_ms == pytest.approx(HOUR / 4 * 1000, abs=2000)
    assert refused.reset_ms == pytest.approx(HOUR * 1000, abs=2000)


async def test_the_reset_grows_with_every_call(limits: RateLimits) -> None:
    key = new_id()
    resets = [(await limits.take(key, 4, HOUR)).reset_ms for _ in range(4)]
    assert resets == pytest.approx([900_000, 1_800_000, 2_700_000, 3_600_000], abs=2000)


async def test_refused_calls_cost_nothing(limits: RateLimits) -> None:
    key = new_id()
    await limits.take(key, 1, HOUR)
    refused = [await limits.take(key, 1, HOUR) for _ in range(20)]
    assert not any(one.allowed for one in refused)
    assert refused[-1].retry_after_ms <= refused[0].retry_after_ms <= HOUR * 1000


async def test_after_the_told_wait_the_next_call_is_welcome(limits: RateLimits) -> None:
    key = new_id()
    for _ in range(2):
        await limits.take(key, 2, 0.4)
    refused = await limits.take(key, 2, 0.4)
    assert refused.allowed is False
    ready = time.monotonic() + refused.retry_after_ms / 1000
    await eventually(lambda: time.monotonic() >= ready)
    assert (await limits.take(key, 2, 0.4)).allowed is True


async def test_what_was_taken_comes_back_evenly(limits: RateLimits) -> None:
    key, window = new_id(), 0.5
    for _ in range(5):
        await limits.take(key, 5, window)
    began, times = time.monotonic(), []

    async def taken() -> bool:
        if (await limits.take(key, 5, window)).allowed:
            times.append(time.monotonic() - began)
        return len(times) == 5

    await eventually(taken)
    assert times == sorted(times)
    assert times[-1] >= 0.85 * window
    assert (await limits.take(key, 5, window)).allowed is False


async def test_a_whole_window_later_everything_is_back(limits: RateLimits) -> None:
    key = new_id()
    last = Allowance(True, 0, 0, 0)
    for _ in range(3):
        last = await limits.take(key, 3, 0.2)
    whole = time.monotonic() + last.reset_ms / 1000
    await eventually(lambda: time.monotonic() >= whole)
    assert (await limits.take(key, 3, 0.2)).remaining == 2


async def test_keys_do_not_share_a_limit(limits: RateLimits) -> None:
    one, two = new_id(), new_id()
    await limits.take(one, 1, HOUR)
    assert (await limits.take(one, 1, HOUR)).allowed is False
    assert (await limits.take(two, 1, HOUR)).allowed is True


@pytest.mark.parametrize("key", ["", "login:203.0.113.7", "Łódź {x} *\n", "k" * 2000])
async def test_any_text_is_a_key(limits: RateLimits, key: str) -> None:
    unique = key + new_id()
    assert (await limits.take(unique, 1, HOUR)).allowed is True
    assert (await limits.take(unique, 1, HOUR)).allowed is False


@pytest.mark.parametrize("none", [0, -1])
async def test_zero_is_no_limit(limits: RateLimits, none: int) -> None:
    key = new_id()
    taken = [await limits.take(key, none, HOUR) for _ in range(50)]
    assert taken == [Allowance(allowed=True, remaining=0, retry_after_ms=0, reset_ms=0)] * 50


async def test_calls_at_once_never_take_more_than_the_limit(limits: RateLimits) -> None:
    key = new_id()
    taken = await asyncio.gather(*(limits.take(key, 10, HOUR) for _ in range(100)))
    assert sum(one.allowed for one in taken) == 10
