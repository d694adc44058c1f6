"""What all workers see of a back-end, as one."""

from datetime import UTC, datetime

import pytest

from api.standing import Standing, standings
from contracts.records import BackendReport


def standing(*reports: dict[str, object]) -> Standing:
    own = {"backend": "gpu", "pool": "default", "at": datetime(2026, 1, 1, tzinfo=UTC), "slots": 4}
    told = [BackendReport.model_validate({**own, "worker": str(number), **one}) for number, one in enumerate(reports)]
    return standings((), told).of("gpu")


def test_nobody_serves_it() -> None:
    one = standing()
    assert (one.seen, one.circuit, one.calls, one.error_rate, one.ttft_ms, dict(one.running), one.slots) == (
        None, None, 0, None, None, {}, 0,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("circuits", "worst"),
    [(["closed"], "closed"), (["closed", "half-open"], "half-open"), (["half-open", "open", "closed"], "open")],
)
def test_the_worst_circuit_counts(circuits: list[str], worst: str) -> None:
    assert standing(*({"circuit": one} for one in circuits)).circuit == worst


def test_figures_are_summed_up() -> None:
    one = standing(
        {"calls": 3, "failures": 1, "running": {"a": 1}}, {"calls": 1, "running": {"a": 1, "b": 2}, "slots": 8}
    )
    assert (one.calls, one.failures, one.error_rate, one.slots) == (4, 1, 0.25, 12)
    assert one.running == {"a": 2, "b": 2}


@pytest.mark.parametrize(
    ("told", "median"),
    [
        ([(10, 50)], 50), ([(10, 50), (10, 70)], 50), ([(1, 5000), (10, 50)], 50), ([(1, 50), (10, 5000)], 5000),
        ([(0, 50)], 50), ([(5, None), (1, 70)], 70),
    ],
)  # fmt: skip
def test_a_workers_median_is_as_heavy_as_its_calls(told: list[tuple[int, int | None]], median: int) -> None:
    assert standing(*({"calls": calls, "ttft_ms": figure} for calls, figure in told)).ttft_ms == median


def test_reports_of_other_backends_are_not_its_own() -> None:
    assert standing({"backend": "another", "calls": 3}).calls == 0
