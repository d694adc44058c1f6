"""What a worker tells of its back-ends, and when."""

import asyncio
from contextlib import AbstractAsyncContextManager

import pytest

from contracts.commands import RefreshCatalog
from contracts.errors import BackendFailed, Unavailable
from contracts.events import ReplyCompleted
from contracts.ports.backend import Text
from contracts.records import BackendReport
from tests.eventually import eventually
from tests.unit.workers.conftest import AcceptQuestion, StartInference
from tests.unit.workers.scripted import (
    FixedRoster,
    KeepingBus,
    KeepingReports,
    ScriptedBackend,
    delivery,
    says,
)
from workers.inference import reporting
from workers.inference.affinity import Wish
from workers.inference.circuit import IN_A_ROW
from workers.inference.reporting import Reporting
from workers.inference.slots import Slots

AWAY = BackendFailed("backend_unreachable", "Nobody listens there.")


@pytest.fixture
def reports() -> KeepingReports:
    return KeepingReports()


def last(reports: KeepingReports, backend: str = "one") -> BackendReport | None:
    """What was said of that back-end most recently."""
    return next((one for said in reversed(reports.said) for one in said if one.backend == backend), None)


def reporting_of(slots: Slots, reports: KeepingReports, bus: KeepingBus) -> AbstractAsyncContextManager[Reporting]:
    return Reporting(reports, bus, slots, "worker-1")


async def test_each_back_end_is_reported_with_what_runs_there(
    inference: StartInference, accepted: AcceptQuestion, reports: KeepingReports
) -> None:
    command, go_on = await accepted(), asyncio.Event()
    backend = ScriptedBackend([Text("One"), go_on.wait, *says(" two")], slots=3)
    async with inference(backend, ScriptedBackend(says(), name="two"), reports=reports) as worker:
        handling = asyncio.create_task(worker.generate_reply(command, delivery(command)))
        await eventually(lambda: (one := last(reports)) is not None and one.running == {"small": 1})
        go_on.set()
        await handling
        await eventually(lambda: (one := last(reports)) is not None and one.running == {} and one.calls == 1)
    report = last(reports)
    assert report is not None
    assert (report.worker, report.pool, report.slots, report.circuit) == ("worker-1", "default", 3, "closed")
    assert (report.failures, report.ttft_ms is not None) == (0, True)
    other = last(reports, "two")
    assert other is not None
    assert (other.calls, other.ttft_ms) == (0, None)


async def test_a_circuit_that_changes_is_reported_and_the_catalog_looks_at_once(
    reports: KeepingReports, bus: KeepingBus, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reporting, "CHANGED", 60.0)  # nothing is told because its time has come
    pool = Slots(FixedRoster(ScriptedBackend(says())), "default")
    async with reporting_of(pool, reports, bus):
        await eventually(lambda: reports.said)
        for _ in range(IN_A_ROW):
            with await pool.take(Wish("small")) as slot:
                slot.failed(AWAY)
        await eventually(lambda: (one := last(reports)) is not None and one.circuit == "open", seconds=2)
        await eventually(lambda: bus.published == [RefreshCatalog(backend="one")])
        pool.places.all[0].health.reachable()
        with await pool.take(Wish("small")) as slot:
            slot.answered(0.1)
        await eventually(lambda: bus.published == [RefreshCatalog(backend="one")] * 2)
        await eventually(lambda: (one := last(reports)) is not None and one.circuit == "closed")
    report = last(reports)
    assert report is not None
    assert (report.calls, report.failures) == (IN_A_ROW, IN_A_ROW)


async def test_many_changes_are_one_report(
    reports: KeepingReports, bus: KeepingBus, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reporting, "CHANGED", 60.0)
    pool = Slots(FixedRoster(ScriptedBackend(says(), slots=50)), "default")
    async with reporting_of(pool, reports, bus):
        await eventually(lambda: reports.said)
        before = len(reports.said)
        for _ in range(20):
            (await pool.take(Wish("small"))).free()
            await asyncio.sleep(0)
        await eventually(lambda: len(reports.said) > before)
        assert len(reports.said) == before + 1


async def test_what_does_not_change_is_said_less_often(
    reports: KeepingReports, bus: KeepingBus, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reporting, "CHANGED", 0.01)
    monkeypatch.setattr(reporting, "UNCHANGED", 0.2)
    backend = ScriptedBackend(says(), slots=50)
    pool = Slots(FixedRoster(backend), "default")
    async with reporting_of(pool, reports, bus):
        await eventually(lambda: len(reports.said) == 3)
        first, *_, third = (one[0].at for one in reports.said)
        assert (third - first).total_seconds() >= 0.3
        held = [await pool.take(Wish("small")) for _ in range(3)]
        held[0].free()
        await eventually(lambda: (one := last(reports)) is not None and one.running == {"small": 2})


async def test_reports_that_cannot_be_told_hold_up_nothing_and_go_on_later(
    inference: StartInference, accepted: AcceptQuestion, reports: KeepingReports, bus: KeepingBus
) -> None:
    command = await accepted()
    reports.fails = [Unavailable("Nobody answers.")] * 2
    async with inference(ScriptedBackend(says("Yes.")), reports=reports) as worker:
        await worker.generate_reply(command, delivery(command))
        assert isinstance(bus.published[0], ReplyCompleted)
        await eventually(lambda: reports.said)


async def test_a_catalog_that_cannot_be_told_holds_up_nothing(reports: KeepingReports) -> None:
    bus = KeepingBus(*[Unavailable("The broker is down.")] * 10)
    pool = Slots(FixedRoster(ScriptedBackend(says())), "default")
    async with reporting_of(pool, reports, bus):
        for _ in range(IN_A_ROW):
            with await pool.take(Wish("small")) as slot:
                slot.failed(AWAY)
        await eventually(lambda: len(bus.fails) < 10)
    assert bus.published == []


async def test_at_its_end_it_says_that_nothing_runs_any_more(
    inference: StartInference, accepted: AcceptQuestion, reports: KeepingReports
) -> None:
    command = await accepted()
    running = asyncio.Event()

    async def hangs() -> None:
        running.set()
        await asyncio.Event().wait()

    async with inference(ScriptedBackend([Text("Half"), hangs]), reports=reports) as worker:
        handling = asyncio.create_task(worker.generate_reply(command, delivery(command)))
        await running.wait()
        await eventually(lambda: (one := last(reports)) is not None and one.running == {"small": 1})
    report = last(reports)
    assert report is not None
    assert report.running == {}
    await asyncio.gather(handling, return_exceptions=True)


async def test_a_back_end_that_left_is_reported_as_long_as_something_runs_there(
    reports: KeepingReports, bus: KeepingBus, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reporting, "CHANGED", 0.01)
    one = ScriptedBackend(says())
    roster = FixedRoster(one)
    pool = Slots(roster, "default")
    async with reporting_of(pool, reports, bus):
        slot = await pool.take(Wish("small"))
        roster.becomes()
        pool.places.follow()
        await eventually(lambda: (report := last(reports)) is not None and report.slots == 0)
        report = last(reports)
        assert report is not None
        assert report.running == {"small": 1}
        slot.free()
        said = len(reports.said)
        assert not pool.places.leaving
        assert len(reports.said) == said
