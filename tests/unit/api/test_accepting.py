"""Accepting a question: whatever fails, afterwards it is accepted or nothing of it is left."""

import asyncio
from collections.abc import AsyncGenerator
from datetime import UTC, datetime, timedelta

import pytest

from api import accepting
from api.accepting import TELLING, Accepting
from api.admitting import Admitting
from api.lines import Lines
from contracts.commands import GenerateReply, Question
from contracts.errors import Conflict, Overloaded, Unavailable, Unroutable
from contracts.events import QuestionAsked
from contracts.ports.streams import Answer, Run
from tests.eventually import eventually
from tests.factories import completed, generate_reply, question
from tests.unit.api.faulty import AWAY, Fault, FaultyAdmission, SlowBus, commands, nothing_is_left, state

LONG_AGO = datetime.now(UTC) - timedelta(minutes=1)


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
async def own(bus: SlowBus, streams: FaultyAdmission) -> AsyncGenerator[Accepting, None]:
    async with accepting_over(bus, streams) as opened:
        yield opened


def accepting_over(bus: SlowBus, streams: FaultyAdmission, cap: int = 0) -> Accepting:
    return Accepting(bus, streams, Admitting(streams, Lines(streams), cap))


async def test_it_is_admitted_logged_published_confirmed_and_told(
    own: Accepting, bus: SlowBus, streams: FaultyAdmission
) -> None:
    command = generate_reply()
    await own.accept(command, explicit_parent=False)
    assert streams.calls == ["admit", "create", "confirm"]
    assert state(streams, command.question) == "accepted"
    await eventually(lambda: len(bus.published) == 2)
    assert bus.published == [command, QuestionAsked(question=command.question)]


@pytest.mark.parametrize("error", [AWAY, RuntimeError("nobody foresaw it")])
@pytest.mark.parametrize("step", ["admit", "create"])
@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
async def test_what_fails_before_publishing_leaves_nothing(
    own: Accepting, bus: SlowBus, streams: FaultyAdmission, step: str, after: bool, error: Exception
) -> None:
    streams.faults[step] = [Fault(error, after=after)]
    command = generate_reply()
    with pytest.raises(type(error)):
        await own.accept(command, explicit_parent=False)
    assert nothing_is_left(streams, command.question)
    assert bus.published == []


@pytest.mark.parametrize("error", [AWAY, Unroutable("x"), Overloaded("x"), RuntimeError("nobody foresaw it")])
async def test_what_cannot_be_published_leaves_nothing(
    own: Accepting, bus: SlowBus, streams: FaultyAdmission, error: Exception
) -> None:
    bus.fails = [error]
    command = generate_reply()
    with pytest.raises(type(error)):
        await own.accept(command, explicit_parent=False)
    assert nothing_is_left(streams, command.question)
    assert await streams.confirm(command.question.generation_id) is Answer.ABORTED


async def test_a_command_that_arrives_late_finds_its_question_aborted(
    own: Accepting, bus: SlowBus, streams: FaultyAdmission
) -> None:
    bus.lost = [Unavailable("its confirm was lost")]
    command = generate_reply()
    with pytest.raises(Unavailable):
        await own.accept(command, explicit_parent=False)
    assert commands(bus) == [command]
    assert await streams.claim(command.question.generation_id, "worker") is Answer.ABORTED
    assert nothing_is_left(streams, command.question)


async def test_a_lost_confirm_of_a_command_that_already_runs_is_no_refusal(
    own: Accepting, bus: SlowBus, streams: FaultyAdmission
) -> None:
    command = generate_reply()

    async def a_worker_is_quick() -> None:
        if not bus.published:
            assert isinstance(await streams.claim(command.question.generation_id, "worker"), Run)

    bus.during, bus.lost = a_worker_is_quick, [Unavailable("its confirm was lost")]
    await own.accept(command, explicit_parent=False)
    assert state(streams, command.question) == "running"
    assert command.question.generation_id in streams.logs.open[command.question.owner]
    await eventually(lambda: QuestionAsked(question=command.question) in bus.published)


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
async def test_a_confirm_is_tried_again(own: Accepting, streams: FaultyAdmission, after: bool) -> None:
    streams.faults["confirm"] = [Fault(AWAY, after=after)] * 3
    command = generate_reply()
    await own.accept(command, explicit_parent=False)
    assert state(streams, command.question) == "accepted"


async def test_a_confirm_that_never_answers_takes_the_question_back(own: Accepting, streams: FaultyAdmission) -> None:
    streams.faults["confirm"] = [Fault(AWAY)] * 4
    command = generate_reply()
    with pytest.raises(Unavailable):
        await own.accept(command, explicit_parent=False)
    assert nothing_is_left(streams, command.question)


async def test_a_confirm_whose_answers_are_lost_accepted_it_after_all(own: Accepting, streams: FaultyAdmission) -> None:
    streams.faults["confirm"] = [Fault(AWAY, after=True)] * 4
    command = generate_reply()
    await own.accept(command, explicit_parent=False)
    assert state(streams, command.question) == "accepted"
    assert command.question.generation_id in streams.logs.open[command.question.owner]


async def test_a_log_lost_before_the_confirm_is_no_refusal(
    own: Accepting, bus: SlowBus, streams: FaultyAdmission
) -> None:
    command = generate_reply()

    async def loses() -> None:
        streams.logs.by_id.pop(command.question.generation_id, None)

    bus.during = loses
    await own.accept(command, explicit_parent=False)
    assert commands(bus) == [command]


async def test_a_question_that_the_sweep_aborted_meanwhile_is_refused(
    own: Accepting, bus: SlowBus, streams: FaultyAdmission
) -> None:
    command = generate_reply()

    async def sweeps() -> None:
        await streams.abort(command.question.generation_id)

    bus.during = sweeps
    with pytest.raises(Unavailable):
        await own.accept(command, explicit_parent=False)
    assert nothing_is_left(streams, command.question)


@pytest.mark.parametrize("step", ["abort", "drop"])
async def test_taking_back_is_tried_again(own: Accepting, bus: SlowBus, streams: FaultyAdmission, step: str) -> None:
    bus.fails = [Overloaded("full")]
    streams.faults[step] = [Fault(AWAY, after=True), Fault(AWAY), Fault(AWAY)]
    command = generate_reply()
    with pytest.raises(Overloaded):
        await own.accept(command, explicit_parent=False)
    assert nothing_is_left(streams, command.question)


async def test_what_cannot_be_taken_back_still_says_why_it_was_refused(
    own: Accepting, bus: SlowBus, streams: FaultyAdmission
) -> None:
    bus.fails = [Overloaded("full")]
    streams.faults["abort"] = [Fault(AWAY)] * 4
    command = generate_reply()
    with pytest.raises(Overloaded):
        await own.accept(command, explicit_parent=False)
    assert state(streams, command.question) == "admitted"


async def test_a_question_asked_that_cannot_be_told_is_accepted(
    own: Accepting, bus: SlowBus, streams: FaultyAdmission
) -> None:
    command = generate_reply()

    async def breaks() -> None:
        bus.fails = [AWAY] if bus.published else []

    bus.during = breaks
    await own.accept(command, explicit_parent=False)
    await eventually(lambda: bus.publishing == 2)
    assert bus.published == [command]


# Clients that hang up, edges that stop


async def test_a_client_that_hangs_up_does_not_interrupt_it(
    own: Accepting, bus: SlowBus, streams: FaultyAdmission
) -> None:
    bus.gate.clear()
    command = generate_reply()
    asking = asyncio.create_task(own.accept(command, explicit_parent=False))
    await eventually(lambda: bus.publishing)
    asking.cancel()
    await asyncio.gather(asking, return_exceptions=True)
    bus.gate.set()
    await eventually(lambda: state(streams, command.question) == "accepted")


async def test_what_fails_after_the_client_hung_up_is_taken_back_too(
    own: Accepting, bus: SlowBus, streams: FaultyAdmission
) -> None:
    bus.gate.clear()
    bus.fails = [Overloaded("full")]
    command = generate_reply()
    asking = asyncio.create_task(own.accept(command, explicit_parent=False))
    await eventually(lambda: bus.publishing)
    asking.cancel()
    await asyncio.gather(asking, return_exceptions=True)
    bus.gate.set()
    await eventually(lambda: nothing_is_left(streams, command.question))


async def test_an_edge_that_stops_finishes_what_it_began(bus: SlowBus, streams: FaultyAdmission) -> None:
    bus.gate.clear()
    command = generate_reply()
    async with accepting_over(bus, streams) as own:
        asking = asyncio.create_task(own.accept(command, explicit_parent=False))
        await eventually(lambda: bus.publishing)
        asking.cancel()
        await asyncio.gather(asking, return_exceptions=True)
        asyncio.get_running_loop().call_later(0.02, bus.gate.set)
    assert state(streams, command.question) == "accepted"
    assert QuestionAsked(question=command.question) in bus.published


async def test_what_is_told_in_the_background_is_bounded(bus: SlowBus, streams: FaultyAdmission) -> None:
    async with accepting_over(bus, streams) as own:
        for _ in range(TELLING + 50):
            own._tell(QuestionAsked(question=question()))
        assert len(own._telling) == TELLING
    assert len(bus.published) == TELLING


# Slots


def follows(first: Question, **changes: object) -> GenerateReply:
    """The next question of that chat."""
    return generate_reply(question(owner=first.owner, chat_id=first.chat_id, parent_id=first.reply_id, **changes))


async def test_a_reply_being_written_refuses_the_next_question(
    own: Accepting, bus: SlowBus, streams: FaultyAdmission
) -> None:
    first = generate_reply()
    await own.accept(first, explicit_parent=False)
    with pytest.raises(Conflict) as error:
        await own.accept(follows(first.question), explicit_parent=False)
    assert (error.value.code, error.value.extra) == (
        "reply_in_progress", {"generation_id": first.question.generation_id},
    )  # fmt: skip
    assert list(streams.logs.open[first.question.owner]) == [first.question.generation_id]
    assert commands(bus) == [first]
    assert "abort" not in streams.calls


async def test_the_slot_of_a_generation_that_ended_is_freed(own: Accepting, streams: FaultyAdmission) -> None:
    first = generate_reply()
    await own.accept(first, explicit_parent=False)
    run = await streams.claim(first.question.generation_id, "worker")
    assert isinstance(run, Run)
    await streams.seal(first.question.generation_id, run.epoch, run.next, completed(first.question))
    with pytest.raises(Conflict):  # sealed is not shown yet
        await own.accept(follows(first.question), explicit_parent=False)
    await streams.close(first.question.generation_id, run.epoch)
    await own.accept(follows(first.question), explicit_parent=False)
    assert first.question.generation_id in streams.logs.open[first.question.owner], "history drops it, not the edge"


@pytest.mark.parametrize("has_log", [True, False])
async def test_a_question_abandoned_by_an_edge_that_died_gives_way(
    own: Accepting, streams: FaultyAdmission, has_log: bool
) -> None:
    abandoned = generate_reply(question(asked_at=LONG_AGO))
    await streams.admit(abandoned.question, explicit_parent=False, deadline=abandoned.deadline)
    if has_log:
        await streams.create(abandoned.question, starts_before=abandoned.starts_before, deadline=abandoned.deadline)
    await own.accept(follows(abandoned.question), explicit_parent=False)
    assert abandoned.question.generation_id not in streams.logs.open[abandoned.question.owner]
    if has_log:
        assert state(streams, abandoned.question) == "aborted"


@pytest.mark.parametrize("has_log", [True, False])
async def test_a_question_that_is_being_accepted_elsewhere_does_not_give_way(
    own: Accepting, streams: FaultyAdmission, has_log: bool
) -> None:
    fresh = generate_reply()
    await streams.admit(fresh.question, explicit_parent=False, deadline=fresh.deadline)
    if has_log:
        await streams.create(fresh.question, starts_before=fresh.starts_before, deadline=fresh.deadline)
    with pytest.raises(Conflict):
        await own.accept(follows(fresh.question), explicit_parent=False)
    assert fresh.question.generation_id in streams.logs.open[fresh.question.owner]


async def test_an_abandoned_question_that_a_worker_took_does_not_give_way(
    own: Accepting, streams: FaultyAdmission
) -> None:
    """Its edge died between publishing and confirming."""
    taken = generate_reply(question(asked_at=LONG_AGO))
    await streams.admit(taken.question, explicit_parent=False, deadline=taken.deadline)
    await streams.create(taken.question, starts_before=taken.starts_before, deadline=taken.deadline)
    await streams.claim(taken.question.generation_id, "worker")
    with pytest.raises(Conflict):
        await own.accept(follows(taken.question), explicit_parent=False)
    assert state(streams, taken.question) == "running"


async def test_of_two_who_ask_at_once_one_is_accepted(own: Accepting, bus: SlowBus) -> None:
    first = question()
    both = [own.accept(follows(first), explicit_parent=False) for _ in range(2)]
    answers = await asyncio.gather(*both, return_exceptions=True)
    assert [type(one) for one in answers if one is not None] == [Conflict]
    assert len(commands(bus)) == 1
