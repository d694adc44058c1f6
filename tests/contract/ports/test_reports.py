"""`BackendReports` on every adapter: what workers see, for as long as they keep saying it."""

import asyncio
from collections.abc import AsyncGenerator
from datetime import UTC, datetime, timedelta

import pytest
import redis.asyncio

from contracts.ports.administration import BackendReports
from contracts.records import BackendReport
from infra.memory.reports import MemoryBackendReports
from infra.redis.reports import RedisBackendReports
from tests.eventually import eventually

KEEP = 0.3


@pytest.fixture
def redis_url_of_reports(request: pytest.FixtureRequest) -> str:
    return request.getfixturevalue("new_redis_url")()


@pytest.fixture(params=["memory", "redis"])
def kind(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
async def processes(
    kind: str, request: pytest.FixtureRequest
) -> AsyncGenerator[tuple[BackendReports, BackendReports], None]:
    """The edge's and the worker's; of memory there is but one."""
    if kind == "memory":
        only = MemoryBackendReports()
        yield only, only
        return
    url = request.getfixturevalue("redis_url_of_reports")
    async with RedisBackendReports(url) as edge, RedisBackendReports(url) as worker:
        yield edge, worker


@pytest.fixture
async def brief(kind: str, request: pytest.FixtureRequest) -> AsyncGenerator[BackendReports, None]:
    """One whose reports count for a third of a second."""
    if kind == "memory":
        yield MemoryBackendReports(keep=KEEP)
        return
    async with RedisBackendReports(request.getfixturevalue("redis_url_of_reports"), keep=KEEP) as reports:
        yield reports


def report(backend: str = "one", worker: str = "w1", **changes: object) -> BackendReport:
    fields = {"backend": backend, "worker": worker, "pool": "default", "at": datetime.now(UTC), "slots": 4}
    return BackendReport.model_validate({**fields, **changes})


async def test_nobody_said_anything(processes: tuple[BackendReports, BackendReports]) -> None:
    edge, worker = processes
    await worker.report([])
    assert list(await edge.recent()) == []


async def test_what_is_said_is_given_by_back_end_and_worker(processes: tuple[BackendReports, BackendReports]) -> None:
    edge, worker = processes
    told = [
        report("two", "w1", circuit="open", calls=3, failures=3),
        report("one", "w2", running={"smol:135m": 2, "$x.y": 1}, ttft_ms=12),
        report("one", "w1"),
        report("a back-end\nwith blanks 🦙", "w1"),
    ]
    await worker.report(told[:1])
    await edge.report(told[1:])
    assert list(await edge.recent()) == sorted(told, key=lambda one: (one.backend, one.worker))


async def test_a_worker_says_it_anew_of_a_back_end(processes: tuple[BackendReports, BackendReports]) -> None:
    edge, worker = processes
    other = report("one", "w2")
    await worker.report([report("one", calls=1), other])
    newest = report("one", calls=2, circuit="half-open")
    await worker.report([newest])
    assert list(await edge.recent()) == [newest, other]


async def test_the_clock_of_who_says_it_does_not_matter(processes: tuple[BackendReports, BackendReports]) -> None:
    edge, worker = processes
    told = [report("one", at=datetime.now(UTC) - timedelta(days=1)), report("two", at=datetime(2200, 1, 1, tzinfo=UTC))]
    await worker.report(told)
    assert list(await edge.recent()) == told


async def test_what_is_not_said_again_is_gone_while_the_rest_stays(brief: BackendReports) -> None:
    await brief.report([report("gone"), report("kept")])

    async def only_kept() -> bool:
        await brief.report([report("kept")])
        return [one.backend for one in await brief.recent()] == ["kept"]

    assert await eventually(only_kept, seconds=5)


async def test_what_nobody_says_again_is_all_gone(brief: BackendReports) -> None:
    await brief.report([report("one"), report("two")])

    async def nothing() -> bool:
        return not await brief.recent()

    assert await eventually(nothing, seconds=5)


async def test_many_workers_say_much_at_once(processes: tuple[BackendReports, BackendReports]) -> None:
    edge, worker = processes
    told = [[report(f"b{backend:02}", f"w{number:02}") for backend in range(20)] for number in range(20)]
    await asyncio.gather(*((edge, worker)[place % 2].report(one) for place, one in enumerate(told)))
    expected = sorted((one for said in told for one in said), key=lambda one: (one.backend, one.worker))
    assert list(await edge.recent()) == expected


async def test_redis_keeps_nothing_of_what_is_old(redis_url_of_reports: str) -> None:
    async with (
        RedisBackendReports(redis_url_of_reports, keep=KEEP) as reports,
        redis.asyncio.Redis.from_url(redis_url_of_reports) as client,
    ):
        await reports.report([report(f"b{number}") for number in range(10)])

        async def only_one_is_kept() -> bool:
            await reports.report([report("new")])  # nobody asks
            kept = await client.hkeys("{reports}"), await client.zrange("{reports}:at", 0, -1)
            return kept == ([b"w1 new"], [b"w1 new"])

        assert await eventually(only_one_is_kept, seconds=5)

        async def empty() -> bool:
            return not await client.keys("*")

        assert await eventually(empty, seconds=5)


async def test_a_report_that_redis_holds_and_nobody_understands_is_left_out(redis_url_of_reports: str) -> None:
    async with (
        RedisBackendReports(redis_url_of_reports) as reports,
        redis.asyncio.Redis.from_url(redis_url_of_reports) as client,
    ):
        told = report("one")
        await reports.report([told])
        await client.hset("{reports}", "w2 two", '{"of": "a newer worker"}')
        assert list(await reports.recent()) == [told]
