"""`queued` frames: who gets them, when, and at what cost."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing

import pytest

from api import lines, waiting
from api.explore import MOST_POOLS, Explore, pools_for
from api.lines import Lines
from api.waiting import Events, Waiting
from contracts.commands import Question
from contracts.errors import Unavailable
from contracts.events import accepted
from contracts.generation import Queued, Started, decode, encode, encode_text
from contracts.ports.lines import Line
from contracts.ports.streams import LogEvent
from contracts.records import BackendHealth, Model
from tests.eventually import eventually
from tests.factories import question
from tests.unit.api.catalogs import Store, model, served
from tests.unit.api.pools import Pools


class Log:
    """A log that a test writes."""

    def __init__(self, asked: Question) -> None:
        self._coming: asyncio.Queue[Events | Exception] = asyncio.Queue()
        self.closed = False
        self._accepted = LogEvent("1-0", encode(accepted(asked)))

    def accepts(self, *before: LogEvent) -> None:
        self._coming.put_nowait((*before, self._accepted))

    def starts(self) -> None:
        self._coming.put_nowait((LogEvent("1-1", encode(Started(attempt=1, model="small", backend="one"))),))

    def says(self, text: str) -> None:
        self._coming.put_nowait((LogEvent("1-2", encode_text("token", text)),))

    def ends(self, error: Exception | None = None) -> None:
        self._coming.put_nowait(error or ())

    async def batches(self) -> AsyncGenerator[Events, None]:
        try:
            while events := await self._coming.get():
                if isinstance(events, Exception):
                    raise events
                yield events
        finally:
            self.closed = True


class Follower:
    """Reads to the end in a task of its own."""

    def __init__(self, own: Waiting, asked: Question, *, waits: bool = False) -> None:
        self.log = Log(asked)
        self.events: list[LogEvent] = []
        self._own, self._asked, self._waits = own, asked, waits
        self.task = asyncio.create_task(self._read())

    async def _read(self) -> None:
        async with (
            aclosing(self.log.batches()) as batches,
            aclosing(self._own.told(self._asked, batches, waits=self._waits)) as told,
        ):
            async for events in told:
                self.events += events

    @property
    def names(self) -> list[str]:
        return [decode(one.encoded).event for one in self.events]

    @property
    def places(self) -> list[tuple[int, int | None]]:
        told = [decode(one.encoded) for one in self.events]
        return [(one.position, one.eta_ms) for one in told if isinstance(one, Queued)]


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waiting, "FIRST", 0.01)
    monkeypatch.setattr(waiting, "EVERY", 0.02)
    monkeypatch.setattr(lines, "YOUNG", 0.015)


@pytest.fixture
def pools() -> Pools:
    return Pools()


@pytest.fixture
async def own(pools: Pools) -> AsyncGenerator[Waiting, None]:
    store = Store("small")
    async with Lines(pools) as seen, Waiting(seen, Explore(store)) as opened:
        yield opened


def line(*ids: str, slots: int = 2, ms: float = 1000.0) -> Line:
    return Line({"interactive": list(ids)}, slots, {"small": ms})


async def finished(follower: Follower) -> None:
    follower.log.ends()
    await follower.task


async def test_a_place_is_told_between_accepted_and_started(own: Waiting, pools: Pools) -> None:
    asked = question()
    pools.lines["default"] = line("other", asked.generation_id)
    follower = Follower(own, asked)
    follower.log.accepts()
    await eventually(lambda: follower.places)
    follower.log.starts()
    follower.log.says("Hi")
    await finished(follower)
    assert follower.names == ["accepted", "queued", "started", "token"]
    assert follower.places == [(2, 1000)]
    assert [one.id for one in follower.events] == ["1-0", None, "1-1", "1-2"]
    assert len(own) == 0


async def test_a_place_is_told_again_only_when_it_changes(own: Waiting, pools: Pools) -> None:
    asked = question()
    pools.lines["default"] = line("a", "b", asked.generation_id)
    follower = Follower(own, asked)
    follower.log.accepts()
    await eventually(lambda: follower.places == [(3, 1500)])
    looks = len(pools.looks)
    await eventually(lambda: len(pools.looks) > looks + 3)
    assert follower.places == [(3, 1500)]
    pools.lines["default"] = line("b", asked.generation_id)
    await eventually(lambda: follower.places == [(3, 1500), (2, 1000)])
    pools.lines["default"] = line("b", asked.generation_id, slots=0)
    await eventually(lambda: follower.places[2:] == [(2, None)])
    await finished(follower)


async def test_who_is_answered_at_once_costs_no_look(own: Waiting, pools: Pools) -> None:
    for _ in range(20):
        follower = Follower(own, question())
        follower.log.accepts()
        follower.log.starts()
        await finished(follower)
        assert follower.names == ["accepted", "started"]
    await asyncio.wait({asyncio.create_task(asyncio.Event().wait())}, timeout=0.03)
    assert pools.looks == []


async def test_nobody_is_told_a_place_after_the_generation_began(own: Waiting, pools: Pools) -> None:
    asked = question()
    pools.lines["default"] = line(asked.generation_id)
    follower = Follower(own, asked)
    follower.log.accepts()
    follower.log.starts()
    await eventually(lambda: follower.names == ["accepted", "started"])
    other = Follower(own, question())
    other.log.accepts()
    await eventually(lambda: len(pools.looks) > 3)
    assert follower.names == ["accepted", "started"]
    await finished(follower)
    await finished(other)


async def test_who_resumes_after_accepted_is_told_its_place(own: Waiting, pools: Pools) -> None:
    asked = question()
    pools.lines["default"] = line(asked.generation_id)
    follower = Follower(own, asked, waits=True)
    await eventually(lambda: follower.places == [(1, 500)])
    follower.log.starts()
    await finished(follower)
    assert follower.names == ["queued", "started"]


async def test_a_log_that_begins_again_waits_again(own: Waiting, pools: Pools) -> None:
    asked = question()
    pools.lines["default"] = line(asked.generation_id)
    follower = Follower(own, asked)
    follower.log.accepts()
    await eventually(lambda: len(follower.places) == 1)
    follower.log.accepts()
    await eventually(lambda: len(follower.places) == 2)
    await finished(follower)


async def test_hundreds_who_wait_cost_one_look_at_a_time(own: Waiting, pools: Pools) -> None:
    many = [question() for _ in range(300)]
    pools.lines["default"] = line(*(one.generation_id for one in many))
    following = [Follower(own, one) for one in many]
    for one in following:
        one.log.accepts()
    await eventually(lambda: all(one.places for one in following))
    assert len(own) == 300
    looks = len(pools.looks)
    before = asyncio.get_running_loop().time()
    await eventually(lambda: len(pools.looks) >= looks + 3)
    assert len(pools.looks) - looks <= (asyncio.get_running_loop().time() - before) / 0.02 + 1
    assert [one.places[0][0] for one in following] == list(range(1, 301))
    await asyncio.gather(*map(finished, following))
    assert len(own) == 0
    looks = len(pools.looks)
    await asyncio.wait({asyncio.create_task(asyncio.Event().wait())}, timeout=0.06)
    assert len(pools.looks) <= looks + 1, "nobody waits, nobody looks"


async def test_a_line_that_cannot_be_read_is_told_when_it_can(own: Waiting, pools: Pools) -> None:
    asked = question()
    pools.lines["default"] = line(asked.generation_id)
    pools.fails = [Unavailable("away")] * 3
    follower = Follower(own, asked)
    follower.log.accepts()
    await eventually(lambda: follower.places == [(1, 500)])
    assert pools.fails == []
    await finished(follower)


async def test_a_look_that_breaks_is_not_the_last(own: Waiting, pools: Pools) -> None:
    asked = question()
    pools.lines["default"] = line(asked.generation_id)
    pools.fails = [RuntimeError("nobody foresaw it")]
    follower = Follower(own, asked)
    follower.log.accepts()
    await eventually(lambda: follower.places == [(1, 500)])
    await finished(follower)


@pytest.mark.parametrize("waits", [False, True])
async def test_what_goes_wrong_in_the_log_reaches_the_follower(own: Waiting, waits: bool) -> None:
    follower = Follower(own, question(), waits=waits)
    follower.log.ends(Unavailable("away"))
    with pytest.raises(Unavailable):
        await follower.task
    assert follower.log.closed
    assert len(own) == 0


async def test_a_follower_that_leaves_while_it_waits_leaves_nothing(own: Waiting, pools: Pools) -> None:
    asked = question()
    pools.lines["default"] = line(asked.generation_id)
    follower = Follower(own, asked)
    follower.log.accepts()
    await eventually(lambda: follower.places)
    before = len(asyncio.all_tasks())
    follower.task.cancel()
    await asyncio.gather(follower.task, return_exceptions=True)
    assert follower.log.closed
    assert len(own) == 0
    assert len(asyncio.all_tasks()) <= before - 2, "the follower's own, and the one that waits for its log"


async def test_a_reader_that_stops_reading_at_its_place_leaves_nothing(own: Waiting, pools: Pools) -> None:
    asked = question()
    pools.lines["default"] = line(asked.generation_id)
    log = Log(asked)
    log.accepts()
    batches = log.batches()
    told = own.told(asked, batches, waits=False)
    assert [decode(one.encoded).event for one in await anext(told)] == ["accepted"]
    assert [decode(one.encoded).event for one in await anext(told)] == ["queued"]
    await told.aclose()
    await batches.aclose()
    assert log.closed
    assert len(own) == 0


# Pools


async def test_a_question_is_found_in_whatever_pool_it_waits(pools: Pools) -> None:
    class TwoPools(Store):
        async def all(self) -> Sequence[Model]:
            return [model("small", served("small", pool="gpu")), model("x", served("x", pool="far"))]

        async def health(self) -> Sequence[BackendHealth]:
            return ()

    asked = question()
    async with Lines(pools) as seen, Waiting(seen, Explore(TwoPools())) as own:
        pools.lines["far"] = line("other", asked.generation_id)
        follower = Follower(own, asked)
        follower.log.accepts()
        await eventually(lambda: follower.places == [(2, 1000)])
        assert pools.looks[:3] == ["gpu", "default", "far"]
        looks = len(pools.looks)
        await eventually(lambda: len(pools.looks) > looks + 2)
        assert set(pools.looks[looks + 1 :]) == {"far"}, "once found, nowhere else"
        await finished(follower)


def test_the_likeliest_pool_is_the_first_and_there_is_an_end_of_them() -> None:
    models = {"x": model("x", served("x", pool="b"), served("x", pool="default")), "gone": model("gone")}
    assert pools_for(models, "x") == ("default", "b")
    assert pools_for(models, "gone") == pools_for(models, "never heard of") == ("default", "b")
    many = {str(n): model(str(n), served(str(n), pool=f"p{n:03}")) for n in range(100)}
    assert len(pools_for(many, "99")) == MOST_POOLS
    assert pools_for(many, "99")[0] == "p099"
