"""The lines of a pool: who waits, who serves, how long that takes."""

import asyncio
import time
from collections.abc import Awaitable, Callable

import pytest

from contracts.commands import LANES, Lane, Question
from contracts.ids import new_id
from contracts.ports.lines import Line, PoolLane
from contracts.ports.streams import Answer, Created, Exists, Flagged, GenerationStreams, Run, Sealed
from tests.contract.ports.streams.places import Place
from tests.contract.ports.streams.story import cancelled, soon, tokens
from tests.eventually import eventually
from tests.factories import completed, question

DEADLINES = 1500.0
"""Seconds: nothing waits longer than the longest hard deadline."""
BEAT = 10.0
NOBODY = Line(waiting={"interactive": (), "bulk": (), "batch": ()}, slots=0, service_ms={})

Leaving = Callable[[GenerationStreams, Question], Awaitable[object]]


@pytest.fixture
def pool() -> str:
    """One that no other test uses."""
    return f"pool-{new_id()}"


async def waiting(
    streams: GenerationStreams, pool: str, lane: Lane = "interactive", asked: Question | None = None
) -> Question:
    """Admitted, and in that line."""
    asked = asked or question()
    made = await streams.create(asked, starts_before=soon(5), deadline=soon(), lane=PoolLane(pool, lane))
    assert isinstance(made, Created)
    await eventually(lambda: time.time() * 1000 > made.epoch // 1024 + 1)  # nobody else in the same millisecond
    return asked


async def ids(streams: GenerationStreams, pool: str, lane: Lane = "interactive") -> list[str]:
    """Who waits there."""
    return list((await streams.line(pool)).waiting[lane])


async def test_a_pool_that_nobody_knows_has_nobody_waiting_and_nobody_serving(
    streams: GenerationStreams, pool: str
) -> None:
    assert await streams.line(pool) == NOBODY


@pytest.mark.parametrize("lane", LANES)
async def test_who_waits_stands_in_the_lane_of_its_pool(streams: GenerationStreams, pool: str, lane: Lane) -> None:
    asked = await waiting(streams, pool, lane)
    assert (await streams.line(pool)).waiting == {**NOBODY.waiting, lane: (asked.generation_id,)}
    assert await streams.line(f"{pool}-other") == NOBODY


async def test_the_longest_waiting_stand_first(streams: GenerationStreams, pool: str) -> None:
    asked = list(
        reversed([await waiting(streams, pool, asked=one) for one in reversed([question() for _ in range(4)])])
    )
    assert await ids(streams, pool) == [one.generation_id for one in reversed(asked)]
    await streams.confirm(asked[1].generation_id)
    await streams.claim(asked[1].generation_id, "worker-1")
    assert await ids(streams, pool) == [asked[place].generation_id for place in (3, 2, 0)]


async def test_every_process_sees_the_same_line(place: Place, streams: GenerationStreams, pool: str) -> None:
    asked = [await waiting(streams, pool) for _ in range(3)]
    async with place.process() as other:
        assert await ids(other, pool) == [one.generation_id for one in asked]


async def test_a_log_made_for_no_lane_waits_nowhere(streams: GenerationStreams, pool: str) -> None:
    asked = question()
    await streams.create(asked, starts_before=soon(), deadline=soon())
    assert isinstance(await streams.claim(asked.generation_id, "worker-1"), Run)
    assert await streams.line(pool) == NOBODY


async def test_a_log_that_exists_does_not_come_to_wait_again(streams: GenerationStreams, pool: str) -> None:
    first, second = [await waiting(streams, pool) for _ in range(2)]
    again = {"starts_before": soon(), "deadline": soon(), "lane": PoolLane(pool, "interactive")}
    assert await streams.create(first, **again) == Exists("admitted")  # pyright: ignore[reportArgumentType]
    assert await ids(streams, pool) == [first.generation_id, second.generation_id]
    await streams.claim(first.generation_id, "worker-1")
    assert await streams.create(first, **again) == Exists("running")  # pyright: ignore[reportArgumentType]
    assert await ids(streams, pool) == [second.generation_id]


async def _claim(streams: GenerationStreams, asked: Question) -> object:
    return type(await streams.claim(asked.generation_id, "worker-1"))


async def _abort(streams: GenerationStreams, asked: Question) -> object:
    return await streams.abort(asked.generation_id)


async def _cancel(streams: GenerationStreams, asked: Question) -> object:
    return type(await streams.cancel(asked.owner, asked.generation_id, cancelled(asked)))


async def _seal(streams: GenerationStreams, asked: Question) -> object:
    answer = await streams.seal(asked.generation_id, None, 1, completed(asked, ""))
    return answer if isinstance(answer, Answer) else type(answer)


@pytest.mark.parametrize(
    ("leave", "answers"),
    [(_claim, (Run, Run)), (_abort, (Answer.OK, Answer.OK)), (_cancel, (Sealed, Sealed)), (_seal, (Answer.OK, Sealed))],
    ids=["claim", "abort", "cancel", "seal"],
)
async def test_who_waits_no_more_leaves_the_line(
    streams: GenerationStreams, pool: str, leave: Leaving, answers: tuple[object, object]
) -> None:
    first, asked, last = [await waiting(streams, pool, "bulk") for _ in range(3)]
    for answer in answers:
        assert await leave(streams, asked) == answer
        assert await ids(streams, pool, "bulk") == [first.generation_id, last.generation_id]


async def test_whatever_does_not_end_the_waiting_leaves_the_line_as_it_is(
    streams: GenerationStreams, pool: str
) -> None:
    asked = await waiting(streams, pool)
    await streams.confirm(asked.generation_id)
    assert await streams.abort(asked.generation_id) is Answer.ACCEPTED
    assert await streams.cancel(new_id(), asked.generation_id, cancelled(asked)) is Answer.NOT_FOUND
    await streams.settle(asked.owner, asked.generation_id)
    assert await ids(streams, pool) == [asked.generation_id]


async def test_who_was_let_go_after_it_spoke_is_cancelled_outside_the_line(
    streams: GenerationStreams, pool: str
) -> None:
    asked = await waiting(streams, pool)
    run = await streams.claim(asked.generation_id, "worker-1")
    assert isinstance(run, Run)
    await streams.append(asked.generation_id, run.epoch, run.next, tokens("Hi"))
    await streams.release(asked.generation_id, run.epoch)
    assert await streams.cancel(asked.owner, asked.generation_id, cancelled(asked)) == Flagged(None)
    assert await ids(streams, pool) == []


async def test_who_waits_past_every_deadline_is_in_the_line_no_more(
    place: Place, streams: GenerationStreams, pool: str
) -> None:
    old = await waiting(streams, pool)
    await place.later(DEADLINES - 100)
    fresh = await waiting(streams, pool)
    assert await ids(streams, pool) == [old.generation_id, fresh.generation_id]
    await place.later(101)
    assert await ids(streams, pool) == [fresh.generation_id]
    await place.later(DEADLINES)
    assert await streams.line(pool) == NOBODY


async def test_of_a_long_line_the_first_thousand_are_told(streams: GenerationStreams, pool: str) -> None:
    asked = [question() for _ in range(1005)]
    for one in asked:
        await streams.create(one, starts_before=soon(), deadline=soon(), lane=PoolLane(pool, "batch"))
    told = await ids(streams, pool, "batch")
    assert len(told) == 1000
    assert set(told[:900]) <= {one.generation_id for one in asked[:1000]}
    for one in asked[:10]:
        await streams.abort(one.generation_id)
    assert set(await ids(streams, pool, "batch")) == {one.generation_id for one in asked[10:]}


async def test_the_slots_of_a_pool_are_those_of_its_workers_last_beats(streams: GenerationStreams, pool: str) -> None:
    for _ in range(2):
        await streams.beat(pool, "one", 4)
        await streams.beat(pool, "two of a kind", 8)
        await streams.beat(f"{pool}-other", "one", 100)
    assert (await streams.line(pool)).slots == 12
    await streams.beat(pool, "one", 2)
    line = await streams.line(pool)
    assert line.slots == 10
    assert sorted(line.workers) == [2, 8]


async def test_a_worker_that_says_it_stops_serves_no_more(streams: GenerationStreams, pool: str) -> None:
    await streams.beat(pool, "one", 4)
    await streams.beat(pool, "two", 4)
    for _ in range(2):
        await streams.beat(pool, "one", 0)
        assert (await streams.line(pool)).slots == 4
    await streams.beat(pool, "two", 0)
    assert await streams.line(pool) == NOBODY


async def test_a_worker_that_is_silent_for_ten_seconds_serves_no_more(
    place: Place, streams: GenerationStreams, pool: str
) -> None:
    await streams.beat(pool, "one", 4)
    await streams.beat(pool, "two", 8)
    await place.later(BEAT - 5)
    await streams.beat(pool, "two", 8)
    assert (await streams.line(pool)).slots == 12
    await place.later(5)
    assert (await streams.line(pool)).slots == 8
    await streams.beat(pool, "one", 1)
    assert (await streams.line(pool)).slots == 9


async def test_the_first_service_time_is_the_mean_and_each_other_a_fifth_of_it(
    streams: GenerationStreams, pool: str
) -> None:
    await streams.served(pool, "small", 1000)
    assert (await streams.line(pool)).service_ms == {"small": 1000}
    await streams.served(pool, "small", 2000)
    await streams.served(pool, "llama3:8b-ż", 0.5)
    assert (await streams.line(pool)).service_ms == {"small": pytest.approx(1200), "llama3:8b-ż": 0.5}
    await streams.served(pool, "small", 0)
    assert (await streams.line(pool)).service_ms["small"] == pytest.approx(960)
    assert (await streams.line(f"{pool}-other")).service_ms == {}


async def test_service_times_told_at_once_all_count(place: Place, streams: GenerationStreams, pool: str) -> None:
    await streams.served(pool, "small", 0)
    async with place.process() as other:
        await asyncio.gather(*(worker.served(pool, "small", 100) for _ in range(10) for worker in (streams, other)))
    assert (await streams.line(pool)).service_ms["small"] == pytest.approx(100 * (1 - 0.8**20))


async def test_service_times_are_known_of_a_thousand_models_at_most(streams: GenerationStreams, pool: str) -> None:
    for number in range(1001):
        await streams.served(pool, f"model-{number}", number)
    known = (await streams.line(pool)).service_ms
    assert len(known) == 1000
    assert known["model-1000"] == 1000
    await streams.served(pool, "model-1000", 2000)
    assert (await streams.line(pool)).service_ms["model-1000"] == pytest.approx(1200)
