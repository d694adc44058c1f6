"""Places in a line: who is before whom, and when each gets a slot."""

import pytest

from api.places import seen_as
from contracts.generation import Queued
from contracts.ports.lines import Line

MEANS = {"small": 1000.0, "large": 4000.0}
MIXED = Line({"batch": ["e"], "bulk": ["c", "d"], "interactive": ["a", "b"]}, 2, MEANS, (2,))


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


def test_a_lane_goes_as_fast_as_the_slots_that_it_may_hold() -> None:
    """Two workers of four slots: bulk holds four of the eight, batch two."""
    ids = [str(n) for n in range(40)]
    line = Line({"bulk": ids[:20], "batch": ids[20:]}, 8, {"small": 1000.0}, (4, 4))
    seen = seen_as(line, {})
    assert seen.end_ms("interactive") == 0
    assert [(one := seen.queued(name)) and one.eta_ms for name in ("0", "19")] == [250, 5000]
    assert [(one := seen.queued(name)) and one.eta_ms for name in ("20", "39")] == [2625, 10_000]


def test_workers_of_one_slot_give_it_to_any_lane() -> None:
    line = Line({"batch": ["a", "b", "c"]}, 3, {"small": 1000.0}, (1, 1, 1))
    assert seen_as(line, {}).end_ms("batch") == 1000


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


def test_an_empty_line_is_served_at_once() -> None:
    assert seen_as(Line({}, 2, MEANS), {}).end_ms("batch") == 0
