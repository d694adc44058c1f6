"""Accepting under a caller's own key, with a cap and by lanes; what is full, or waited for in vain, says when to come back."""

import asyncio
from collections.abc import AsyncGenerator
from datetime import UTC, datetime, timedelta

import pytest

from api import accepting
from api.accepting import Accepting
from api.admitting import SOON_MS, Admitting
from api.errors import KeyMismatch, TooManyGenerations
from api.lines import Lines
from contracts.commands import GenerateReply
from contracts.errors import Conflict, Overloaded, Unavailable
from contracts.ports.lines import PoolLane
from contracts.ports.streams import Answer, IdempotencyKey, Run, Same
from tests.eventually import eventually
from tests.factories import generate_reply, question
from tests.unit.api.faulty import AWAY, Fault, FaultyAdmission, SlowBus, commands, nothing_is_left, state

KEY = IdempotencyKey("retry-1", "ab" * 32)
OTHER_BODY = IdempotencyKey("retry-1", "cd" * 32)


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(accepting, "PAUSE", 0.001)


@pytest.fixture
async def streams() -> AsyncGenerator[FaultyAdmission, None]:
    async with FaultyAdmission() as opened:
        yield opened


@pytest.fixture
def bus() -> SlowBus:
    return SlowBus()


@pytest.fixture
async def lines(streams: FaultyAdmission) -> AsyncGenerator[Lines, None]:
    async with Lines(streams) as opened:
        yield opened


@pytest.fixture
async def own(bus: SlowBus, streams: FaultyAdmission, lines: Lines) -> AsyncGenerator[Accepting, None]:
    """At most three live generations of a person."""
    async with Accepting(bus, streams, Admitting(streams, lines, 3)) as opened:
        yield opened


def asks(owner: str) -> GenerateReply:
    """A question of that person in a new chat."""
    return generate_reply(question(owner=owner))


async def admitted(streams: FaultyAdmission, command: GenerateReply, *, log: bool = True) -> None:
    """As an edge leaves it that died before it published, with or without its log."""
    await streams.admit(command.question, explicit_parent=False, deadline=command.deadline, key=KEY)
    if log:
        lane = PoolLane(command.pool, command.lane)
        await streams.create(
            command.question, starts_before=command.starts_before, deadline=command.deadline, lane=lane
        )
    streams.calls.clear()


# Keys


async def test_a_repeat_is_told_what_its_key_began(own: Accepting, bus: SlowBus, streams: FaultyAdmission) -> None:
    first = generate_reply()
    assert await own.accept(first, explicit_parent=False, key=KEY) is None
    again = asks(first.question.owner)
    assert await own.accept(again, explicit_parent=False, key=KEY) == Same(first.question.generation_id)
    assert commands(bus) == [first]
    assert [one.generation_id for one in await streams.open(first.question.owner)] == [first.question.generation_id]


async def test_a_key_with_another_body_is_refused_and_leaves_nothing(own: Accepting, streams: FaultyAdmission) -> None:
    first = generate_reply()
    await own.accept(first, explicit_parent=False, key=KEY)
    with pytest.raises(KeyMismatch):
        await own.accept(asks(first.question.owner), explicit_parent=False, key=OTHER_BODY)
    assert [one.generation_id for one in await streams.open(first.question.owner)] == [first.question.generation_id]
    assert "abort" not in streams.calls


async def test_of_two_at_once_under_one_key_one_runs(own: Accepting, bus: SlowBus) -> None:
    first = generate_reply()
    twins = [first, asks(first.question.owner)]
    answers = await asyncio.gather(*(own.accept(one, explicit_parent=False, key=KEY) for one in twins))
    assert sorted(answers, key=bool) == [None, Same(commands(bus)[0].question.generation_id)]


@pytest.mark.parametrize("step", ["admit", "create"])
@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
async def test_what_was_taken_back_frees_its_key(
    own: Accepting, bus: SlowBus, streams: FaultyAdmission, step: str, after: bool
) -> None:
    streams.faults[step] = [Fault(AWAY, after=after)]
    first = generate_reply()
    with pytest.raises(Unavailable):
        await own.accept(first, explicit_parent=False, key=KEY)
    second = asks(first.question.owner)
    assert await own.accept(second, explicit_parent=False, key=KEY) is None
    assert commands(bus) == [second]


# What another edge left admitted


@pytest.mark.parametrize("log", [False, True])
async def test_what_an_edge_left_admitted_is_published_under_its_own_id(
    own: Accepting, bus: SlowBus, streams: FaultyAdmission, log: bool
) -> None:
    left = generate_reply()
    await admitted(streams, left, log=log)
    assert await own.resume(left)
    assert commands(bus) == [left]
    assert state(streams, left.question) == "accepted"
    assert streams.calls == ["create", "confirm"]
    line = await streams.line(left.pool)
    assert list(line.waiting["interactive"]) == [left.question.generation_id]


async def test_what_a_worker_took_meanwhile_is_accepted_as_it_is(
    own: Accepting, bus: SlowBus, streams: FaultyAdmission
) -> None:
    """Its edge died between publishing and confirming."""
    left = generate_reply()
    await admitted(streams, left)
    assert isinstance(await streams.claim(left.question.generation_id, "worker"), Run)
    assert await own.resume(left)
    assert commands(bus) == []
    assert state(streams, left.question) == "running"


@pytest.mark.parametrize("dropped", [False, True])
async def test_what_was_aborted_is_taken_back_whole(
    own: Accepting, bus: SlowBus, streams: FaultyAdmission, dropped: bool
) -> None:
    """Its edge died between aborting and dropping."""
    left = generate_reply()
    await admitted(streams, left)
    await streams.abort(left.question.generation_id)
    if dropped:
        await streams.drop(left.question.owner, left.question.generation_id)
    assert not await own.resume(left)
    assert nothing_is_left(streams, left.question)
    assert await streams.repeated(left.question.owner, KEY) is None
    assert commands(bus) == []


async def test_what_nobody_would_begin_any_more_is_taken_back(
    own: Accepting, bus: SlowBus, streams: FaultyAdmission
) -> None:
    left = generate_reply(starts_before=datetime.now(UTC) - timedelta(seconds=1))
    await admitted(streams, left)
    assert not await own.resume(left)
    assert nothing_is_left(streams, left.question)
    assert commands(bus) == []


async def test_what_is_late_and_was_accepted_all_the_same_stays(own: Accepting, streams: FaultyAdmission) -> None:
    left = generate_reply(starts_before=datetime.now(UTC) - timedelta(seconds=1))
    await admitted(streams, left)
    await streams.confirm(left.question.generation_id)
    assert await own.resume(left)
    assert state(streams, left.question) == "accepted"


async def test_two_edges_that_resume_at_once_publish_one_generation(
    own: Accepting, bus: SlowBus, streams: FaultyAdmission
) -> None:
    left = generate_reply()
    await admitted(streams, left)
    assert await asyncio.gather(own.resume(left), own.resume(left)) == [True, True]
    assert {one.question.generation_id for one in commands(bus)} == {left.question.generation_id}
    assert isinstance(await streams.claim(left.question.generation_id, "worker"), Run)


async def test_an_edge_that_was_slow_goes_on_with_what_another_accepted(
    own: Accepting, bus: SlowBus, streams: FaultyAdmission
) -> None:
    accepted_elsewhere = asyncio.Event()

    async def the_first_is_slow_and_fails() -> None:
        if bus.publishing == 1:
            await accepted_elsewhere.wait()
            raise Unavailable("away")

    bus.during = the_first_is_slow_and_fails
    slow = generate_reply()
    first = asyncio.create_task(own.accept(slow, explicit_parent=False, key=KEY))
    await eventually(lambda: bus.publishing == 1)
    assert await own.resume(slow)
    accepted_elsewhere.set()
    assert await first is None
    assert state(streams, slow.question) == "accepted"
    assert commands(bus) == [slow]


async def test_what_its_own_edge_takes_back_while_another_goes_on_with_it_is_taken_back_for_both(
    own: Accepting, bus: SlowBus, streams: FaultyAdmission
) -> None:
    taken_back = asyncio.Event()

    async def the_first_fails_before_the_second_is_through() -> None:
        if bus.publishing == 1:
            raise Unavailable("away")
        await taken_back.wait()

    bus.during = the_first_fails_before_the_second_is_through
    slow = generate_reply()
    await admitted(streams, slow)
    first, second = (asyncio.create_task(own.resume(slow)) for _ in range(2))
    with pytest.raises(Unavailable):
        await first
    taken_back.set()
    assert not await second
    assert nothing_is_left(streams, slow.question)
    assert await streams.claim(slow.question.generation_id, "worker") is Answer.ABORTED, "its command was published"


async def test_a_full_queue_takes_back_what_another_edge_left(
    own: Accepting, bus: SlowBus, streams: FaultyAdmission
) -> None:
    left = generate_reply()
    await admitted(streams, left)
    bus.fails = [Overloaded("full")]
    with pytest.raises(Overloaded):
        await own.resume(left)
    assert nothing_is_left(streams, left.question)
    assert await streams.repeated(left.question.owner, KEY) is None


# Caps and lanes


async def test_lanes_are_the_admission_s_and_the_line_knows(
    own: Accepting, bus: SlowBus, streams: FaultyAdmission
) -> None:
    owner = question().owner
    asked = [asks(owner) for _ in range(3)]
    for one in asked:
        await own.accept(one, explicit_parent=False)
    assert [one.lane for one in commands(bus)] == ["interactive", "interactive", "bulk"]
    line = await streams.line("default")
    assert {lane: list(ids) for lane, ids in line.waiting.items() if ids} == {
        "interactive": [one.question.generation_id for one in asked[:2]],
        "bulk": [asked[2].question.generation_id],
    }


async def test_a_batch_stays_in_its_lane(own: Accepting, bus: SlowBus) -> None:
    await own.accept(generate_reply(lane="batch"), explicit_parent=False)
    assert commands(bus)[0].lane == "batch"


async def test_who_has_too_many_is_told_when_one_ends(own: Accepting, bus: SlowBus, streams: FaultyAdmission) -> None:
    owner = question().owner
    asked = [asks(owner) for _ in range(3)]
    for one in asked:
        await own.accept(one, explicit_parent=False)
    with pytest.raises(TooManyGenerations) as told:
        await own.accept(asks(owner), explicit_parent=False)
    assert (told.value.retry_after_ms, told.value.limit) == (SOON_MS, 3), "nobody knows how long one takes"
    assert len(await streams.open(owner)) == len(commands(bus)) == 3
    assert "abort" not in streams.calls
    await streams.settle(owner, asked[0].question.generation_id)
    await own.accept(asks(owner), explicit_parent=False)
    await own.accept(generate_reply(), explicit_parent=False)  # somebody else


async def test_the_time_until_one_ends_follows_from_the_line(own: Accepting, streams: FaultyAdmission) -> None:
    owner = question().owner
    await streams.beat("default", "worker", 2)
    await streams.served("default", "small", 8000.0)
    asked = [asks(owner) for _ in range(3)]
    for one in asked:
        await own.accept(one, explicit_parent=False)
    await streams.claim(asked[0].question.generation_id, "worker")
    with pytest.raises(TooManyGenerations) as told:
        await own.accept(asks(owner), explicit_parent=False)
    assert told.value.retry_after_ms == 4000, "one runs, half of it is left in the mean"


async def test_a_cap_of_nothing_is_no_cap(bus: SlowBus, streams: FaultyAdmission, lines: Lines) -> None:
    owner = question().owner
    async with Accepting(bus, streams, Admitting(streams, lines, 0)) as own:
        for _ in range(30):
            await own.accept(asks(owner), explicit_parent=False)
    assert len(await streams.open(owner)) == 30


# Full queues, long lines


async def busy(streams: FaultyAdmission, waiting: int, *, ms: float = 10_000.0, slots: int = 2) -> None:
    """That many wait in each lane."""
    await streams.beat("default", "worker", slots)
    await streams.served("default", "small", ms)
    for lane in ("interactive", "bulk"):
        for _ in range(waiting):
            one = generate_reply()
            await streams.create(
                one.question, starts_before=one.starts_before, deadline=one.deadline, lane=PoolLane("default", lane)
            )
    streams.calls.clear()


async def test_a_full_queue_says_when_its_last_one_is_served(
    own: Accepting, bus: SlowBus, streams: FaultyAdmission
) -> None:
    await busy(streams, 5)
    bus.fails = [Overloaded("full")]
    command = generate_reply()
    with pytest.raises(Overloaded) as told:
        await own.accept(command, explicit_parent=False)
    assert told.value.retry_after_ms == 30_000, "six in its lane, itself included, 10 s each, two at once"
    assert nothing_is_left(streams, command.question)


@pytest.mark.parametrize("known", [True, False])
async def test_a_full_queue_that_is_served_at_once_is_come_back_to_after_a_second(
    own: Accepting, bus: SlowBus, streams: FaultyAdmission, known: bool
) -> None:
    if known:
        await busy(streams, 0, ms=3.0)
    bus.fails = [Overloaded("full")]
    with pytest.raises(Overloaded) as told:
        await own.accept(generate_reply(), explicit_parent=False)
    assert told.value.retry_after_ms == (1000 if known else None)


async def test_what_would_expire_in_the_line_is_refused_before_it_is_admitted(
    own: Accepting, bus: SlowBus, streams: FaultyAdmission, lines: Lines
) -> None:
    await busy(streams, 100)
    await lines.look("default")
    command = generate_reply()  # waits 300 s at most
    with pytest.raises(Overloaded) as told:
        await own.accept(command, explicit_parent=False)
    assert told.value.retry_after_ms is not None
    assert abs(told.value.retry_after_ms - 200_000) < 1000
    assert streams.calls == []
    assert bus.publishing == 0
    assert nothing_is_left(streams, command.question)


async def test_a_long_bulk_lane_refuses_bulk_only(
    own: Accepting, bus: SlowBus, streams: FaultyAdmission, lines: Lines
) -> None:
    await busy(streams, 50)  # 250 s of interactive ones, 500 s with bulk
    owner = question().owner
    for _ in range(2):
        await own.accept(asks(owner), explicit_parent=False)
    await lines.look("default")
    command = asks(owner)
    with pytest.raises(Overloaded) as told:
        await own.accept(command, explicit_parent=False)
    assert told.value.retry_after_ms is not None
    assert abs(told.value.retry_after_ms - 210_000) < 11_000
    assert command.question.generation_id not in [one.generation_id for one in await streams.open(owner)]
    assert command.question.generation_id not in streams.logs.live[owner]
    await own.accept(generate_reply(), explicit_parent=False)  # somebody else goes before them


async def test_a_line_that_nobody_looked_at_lately_refuses_nobody(
    own: Accepting, bus: SlowBus, streams: FaultyAdmission
) -> None:
    await busy(streams, 100)
    await own.accept(generate_reply(), explicit_parent=False)


async def test_a_question_without_a_key_costs_no_more_calls_than_before(
    own: Accepting, streams: FaultyAdmission
) -> None:
    await own.accept(generate_reply(), explicit_parent=False)
    assert streams.calls == ["admit", "create", "confirm"]


async def test_a_busy_branch_and_a_full_person_are_told_apart(own: Accepting, streams: FaultyAdmission) -> None:
    first = generate_reply()
    await own.accept(first, explicit_parent=False)
    asked = first.question
    follow_up = question(owner=asked.owner, chat_id=asked.chat_id, parent_id=asked.reply_id)
    with pytest.raises(Conflict):
        await own.accept(generate_reply(follow_up), explicit_parent=False)
    assert await streams.abort(asked.generation_id) is Answer.ACCEPTED
