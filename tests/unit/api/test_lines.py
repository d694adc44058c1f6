"""Lines as an edge sees them: places, times, and how seldom it looks."""

import asyncio
from collections.abc import AsyncGenerator, Callable

import pytest

from api import lines, places
from api.lines import KEPT, POOLS, Lines
from contracts.errors import Unavailable
from contracts.ports.lines import Line
from tests.eventually import eventually
from tests.factories import question
from tests.unit.api.pools import Pools

MEANS = {"small": 1000.0, "large": 4000.0}
MIXED = Line({"batch": ["e"], "bulk": ["c", "d"], "interactive": ["a", "b"]}, 2, MEANS, (2,))


@pytest.fixture
def pools() -> Pools:
    return Pools(default=MIXED)


@pytest.fixture
async def own(pools: Pools) -> AsyncGenerator[Lines, None]:
    async with Lines(pools) as opened:
        yield opened


@pytest.fixture
def later(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """`later(2.0)`: that many seconds pass."""
    passed = [0.0]
    real = lines.time.monotonic
    clock = type("Clock", (), {"monotonic": staticmethod(lambda: real() + passed[0])})
    for module in (lines, places):
        monkeypatch.setattr(module, "time", clock)
    return lambda seconds: passed.__setitem__(0, passed[0] + seconds)


# Looks


async def test_a_pool_is_looked_at_once_a_second(own: Lines, pools: Pools, later: Callable[[float], None]) -> None:
    for _ in range(3):
        await own.look("default")
    later(0.9)
    await own.look("default")
    assert pools.looks == ["default"]
    later(0.1)
    await own.look("default")
    await own.look("other")
    assert pools.looks == ["default", "default", "other"]


async def test_many_who_look_at_once_share_one_look(own: Lines, pools: Pools) -> None:
    pools.gate.clear()
    many = [asyncio.create_task(own.look("default")) for _ in range(100)]
    await eventually(lambda: pools.looks)
    many[0].cancel()
    await asyncio.gather(many[0], return_exceptions=True)
    pools.gate.set()
    first, *others = await asyncio.gather(*many[1:])
    assert all(one is first for one in others)
    assert pools.looks == ["default"]


async def test_a_look_that_fails_is_tried_again_by_the_next(own: Lines, pools: Pools) -> None:
    pools.fails = [Unavailable("away")]
    with pytest.raises(Unavailable):
        await own.look("default")
    assert await own.tried("default") is not None
    pools.fails = [Unavailable("away")]
    assert await own.tried("other") is None


async def test_what_is_known_costs_no_look_and_grows_old(
    own: Lines, pools: Pools, later: Callable[[float], None]
) -> None:
    assert own.known("default") is None
    seen = await own.look("default")
    later(2.9)
    assert own.known("default") is seen
    later(0.2)
    assert own.known("default") is None
    assert pools.looks == ["default"]


async def test_after_questions_one_look_follows_within_a_second(
    own: Lines, pools: Pools, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lines, "EVERY", 0.02)
    for _ in range(50):
        own.expect("default")
    assert pools.looks == []
    await eventually(lambda: own.known("default"))
    assert pools.looks == ["default"]


# When one of several ends


def one_waits(ms: float) -> Line:
    return Line({"interactive": ["waits"]}, 2, {"small": ms}, (2,))


async def test_the_first_of_several_ends_the_sooner_the_more_run(own: Lines, pools: Pools) -> None:
    pools.lines["default"] = one_waits(1000.0)
    assert await own.first_end_ms("default", ["waits"]) == 1500, "it waits 500 ms and runs for 1000"
    assert await own.first_end_ms("default", ["waits", "runs"]) == 500
    assert await own.first_end_ms("default", ["waits", *(f"runs {n}" for n in range(9))]) == 100
    assert await own.first_end_ms("default", []) == 1000


async def test_what_left_the_line_between_two_looks_began_then(
    own: Lines, pools: Pools, later: Callable[[float], None]
) -> None:
    pools.lines["default"] = one_waits(20_000.0)
    await own.look("default")
    pools.lines["default"] = Line({}, 2, {"small": 20_000.0}, (2,))
    later(1.0)
    await own.look("default")
    later(5.0)
    left = await own.first_end_ms("default", ["waits"])
    assert left is not None
    assert abs(left - 14_500) < 200, "it began half a second before the second look, which was five ago"
    later(60.0)
    assert await own.first_end_ms("default", ["waits"]) == 2000, "overdue"
    assert await own.first_end_ms("default", ["began before anybody looked"]) == 10_000


async def test_without_workers_without_a_mean_and_without_an_answer_nobody_can_tell(own: Lines, pools: Pools) -> None:
    pools.lines = {"idle": Line({}, 0, MEANS), "new": Line({}, 2, {})}
    assert await own.first_end_ms("idle", ["a"]) is None
    assert await own.first_end_ms("new", ["a"]) is None
    pools.fails = [Unavailable("away")]
    assert await own.first_end_ms("default", ["a"]) is None


async def test_an_edge_that_stops_looks_no_more(pools: Pools, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lines, "EVERY", 0.0)
    pools.gate.clear()
    async with Lines(pools) as own:
        looking = asyncio.create_task(own.look("default"))
        await eventually(lambda: pools.looks)
        own.expect("other")
    assert (await asyncio.gather(looking, return_exceptions=True))[0].__class__ is asyncio.CancelledError
    await asyncio.sleep(0)
    assert pools.looks == ["default"]


async def test_what_is_remembered_is_bounded(own: Lines, pools: Pools) -> None:
    asked = question()
    for n in range(KEPT + 10):
        own.note(asked.model_copy(update={"generation_id": str(n)}))
    assert len(own._models) == KEPT
    for n in range(POOLS + 10):
        await own.look(f"pool-{n}")
        own.expect(f"expected-{n}")
    assert len(own._seen) == len(own._later) == POOLS
