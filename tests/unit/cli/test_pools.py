"""A worker for each pool of the embedded platform, as pools come."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import pytest

from cli.pools import Pools
from contracts.errors import Unavailable
from contracts.ports.backend import Backend
from tests.eventually import eventually
from tests.unit.workers.scripted import FixedRoster, ScriptedBackend, says

SOON = 0.01


class Worker:
    """Only as much of one as is told to stop."""

    def __init__(self) -> None:
        self.stopping = False

    def stop_taking(self) -> None:
        self.stopping = True


class Workers:
    """Those that were started, by pool; `wrong` fail to, so many times."""

    def __init__(self) -> None:
        self.running: dict[str, Worker] = {}
        self.wrong: dict[str, int] = {}
        self.most_ending = 0
        self._ending = 0

    @asynccontextmanager
    async def __call__(self, pool: str) -> AsyncGenerator[Worker, None]:
        if self.wrong.get(pool):
            self.wrong[pool] -= 1
            raise Unavailable("Not now.")
        self.running[pool] = Worker()
        yield self.running[pool]
        self._ending += 1
        self.most_ending = max(self.most_ending, self._ending)
        await asyncio.sleep(0)
        del self.running[pool]


class Growing(FixedRoster):
    """A roster to which a test adds."""

    def __init__(self, *backends: ScriptedBackend) -> None:
        self.known: dict[str, Backend] = {one.settings.name: one for one in backends}

    @property
    def backends(self) -> dict[str, Backend]:
        return dict(self.known)

    def add(self, name: str, pool: str) -> None:
        self.known[name] = backend(name, pool)


def backend(name: str, pool: str) -> ScriptedBackend:
    return ScriptedBackend(says(), name=name, pool=pool)


@pytest.fixture
def workers() -> Workers:
    return Workers()


def pools(roster: FixedRoster, workers: Workers) -> Pools:
    return Pools(roster, workers, look=SOON)  # type: ignore[arg-type]


async def test_the_default_pool_has_a_worker_and_so_has_every_pool_with_a_backend(workers: Workers) -> None:
    async with pools(Growing(backend("one", "large"), backend("two", "large")), workers) as it:
        assert it.names == ["default", "large"]
        assert sorted(workers.running) == ["default", "large"]
    assert workers.running == {}


async def test_a_pool_that_comes_gets_a_worker_and_keeps_it(workers: Workers) -> None:
    roster = Growing()
    async with pools(roster, workers) as it:
        roster.add("one", "large")
        await eventually(lambda: it.names == ["default", "large"])
        roster.known.clear()
        roster.add("two", "small")
        await eventually(lambda: it.names == ["default", "large", "small"])
        assert sorted(workers.running) == ["default", "large", "small"]


async def test_a_worker_that_does_not_start_is_tried_again(workers: Workers) -> None:
    roster = Growing()
    workers.wrong["large"] = 2
    async with pools(roster, workers) as it:
        roster.add("one", "large")
        await eventually(lambda: it.names == ["default", "large"])


async def test_what_does_not_start_at_first_leaves_nothing_running(workers: Workers) -> None:
    workers.wrong["large"] = 1
    with pytest.raises(Unavailable):
        await pools(Growing(backend("one", "large")), workers).__aenter__()
    assert workers.running == {}


async def test_the_end_is_told_to_all_and_all_end_at_once(workers: Workers) -> None:
    roster = Growing(backend("one", "large"), backend("two", "small"))
    async with pools(roster, workers) as it:
        it.stop_taking()
        assert [one.stopping for one in workers.running.values()] == [True, True, True]
        roster.add("three", "late")
        await it._look_on()  # ends by itself
        assert "late" not in it.names
    assert workers.most_ending == 3
