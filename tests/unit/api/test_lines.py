"""Lines as an edge sees them: places, times, and how seldom it looks."""

import asyncio
from collections.abc import AsyncGenerator, Callable

import pytest

from api import lines
from api.lines import KEPT, POOLS, Lines, seen_as
from contracts.errors import Unavailable
from contracts.generation import Queued
from contracts.ports.streams import Line
from tests.eventually import eventually
from tests.factories import question
from tests.unit.api.pools import Pools

MEANS = {"small": 1000.0, "large": 4000.0}
MIXED = Line({"batch": ["e"], "bulk": ["c", "d"], "interactive": ["a", "b"]}, 2, MEANS)


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
    monkeypatch.setattr(lines, "time", type("Clock", (), {"monotonic": staticmethod(lambda: real() + passed[0])}))
    return lambda seconds: passed.__setitem__(0, passed[0] + seconds)


# Places


def test_places_count_from_one_across_the_lanes_in_the_order_of_service() -> None:
    seen = seen_as(MIXED, {})
    told = [seen.queued(one) for one in "abcde"]
    assert [one.position for one in told if one] == [1, 2, 3, 4, 5]
    assert [seen.places[one].lane for one in "abcde"] == ["interactive", "interactive", "bulk", "bulk", "batch"]
    assert seen.queued("nobody") is None


def test_a_time_is_the_place_times_the_mean_by_the_slots() -> None:
    line = Line({"interactive": ["a", "b", "c"]}, 2, {"small": 1000.0})
    seen = seen_as(line, {})
    assert [seen.queued(one) for one in "abc"] == [
        Queued(position=1, eta_ms=500), Queued(position=2, eta_ms=1000), Queued(position=3, eta_ms=1500),
    ]  # fmt: skip
    assert seen.end_ms("interactive") == seen.end_ms("batch") == 1500


def test_who_waits_before_counts_with_the_time_of_its_own_model() -> None:
    models = {"a": "large", "b": "small", "c": "large", "d": "small", "e": "small"}
    seen = seen_as(MIXED, models)
    assert [(one := seen.queued(name)) and one.eta_ms for name in "abcde"] == [2000, 2500, 4500, 5000, 5500]
    assert [seen.end_ms(lane) for lane in ("interactive", "bulk", "batch")] == [2500, 5000, 5500]


def test_unknown_models_count_like_the_known_ones_that_wait_here() -> None:
    assert seen_as(MIXED, {"a": "large"}).usual_ms == 4000
    assert seen_as(MIXED, {"a": "small", "b": "large"}).usual_ms == 2500
    assert seen_as(MIXED, {"a": "never served"}).usual_ms == 2500, "the mean of the pool"
    assert seen_as(MIXED, {"elsewhere": "large"}).usual_ms == 2500


@pytest.mark.parametrize(("slots", "means"), [(0, MEANS), (2, {})])
def test_without_workers_or_without_a_mean_nobody_can_tell(slots: int, means: dict[str, float]) -> None:
    seen = seen_as(Line({"interactive": ["a"]}, slots, means), {"a": "small"})
    assert seen.queued("a") == Queued(position=1, eta_ms=None)
    assert seen.end_ms("interactive") is None
    assert seen.first_end_ms(["a"]) is None


def test_an_empty_line_is_served_at_once() -> None:
    assert seen_as(Line({}, 2, MEANS), {}).end_ms("batch") == 0


def test_the_first_of_several_ends_the_sooner_the_more_run() -> None:
    seen = seen_as(Line({"bulk": ["w"]}, 2, {"small": 1000.0}), {})
    assert seen.first_end_ms(["w"]) == 1500, "it waits 500 ms and runs for 1000"
    assert seen.first_end_ms(["w", "running"]) == 500
    assert seen.first_end_ms(["w", *(f"running {n}" for n in range(9))]) == 100


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
