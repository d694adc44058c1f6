"""Who may write: claims, leases, takeovers, letting go."""

import time
from collections.abc import AsyncGenerator
from datetime import UTC, datetime, timedelta

import pytest

from contracts.ids import new_id
from contracts.ports.streams import (
    Answer,
    Appended,
    Cancel,
    Closed,
    Flagged,
    GenerationStreams,
    Held,
    Renewed,
    Run,
    Sealed,
)
from tests.contract.ports.streams.places import Pace, Place
from tests.contract.ports.streams.story import (
    accepted,
    brought_to,
    cancelled,
    claimed,
    created,
    restarted,
    sealed,
    soon,
    stands,
    tokens,
    told,
)
from tests.eventually import eventually

SHORT = Pace(lease=0.15)


@pytest.fixture
async def hasty(place: Place) -> AsyncGenerator[GenerationStreams, None]:
    """Streams whose leases run out in no time."""
    async with place.process(SHORT) as opened:
        yield opened


async def test_an_accepted_generation_is_run_under_a_new_epoch(streams: GenerationStreams) -> None:
    asked = await accepted(streams)
    first_id = (await stands(streams, asked.generation_id)).last_id
    run = await streams.claim(asked.generation_id, "worker-1")
    assert isinstance(run, Run)
    assert (run.next, run.attempt, run.cancel, run.shown) == (1, 1, False, False)
    assert str(run.epoch) not in str(first_id)
    assert (await stands(streams, asked.generation_id)).state == "running"


async def test_a_command_that_overtakes_its_confirmation_is_run(streams: GenerationStreams) -> None:
    asked = await created(streams)
    assert isinstance(await streams.claim(asked.generation_id, "worker-1"), Run)
    assert await streams.confirm(asked.generation_id) is Answer.OK
    assert (await stands(streams, asked.generation_id)).state == "running"


async def test_while_its_worker_lives_and_holds_the_lease_nobody_else_gets_it(streams: GenerationStreams) -> None:
    async with streams.control("worker-held"):
        it = await told(streams, "Hi", worker="worker-held")
        held = await streams.claim(it.id, "worker-2")
        assert isinstance(held, Held)
        assert held.owner == "worker-held"
        assert 8000 < held.ms <= 10_000
        assert await streams.append(it.id, it.epoch, it.next, tokens("!")) == Appended(it.next + 1, cancel=False)


async def test_its_own_worker_may_claim_over(streams: GenerationStreams) -> None:
    async with streams.control("worker-own"):
        it = await told(streams, "Hi", worker="worker-own")
        again = await claimed(streams, it.question, "worker-own")
        assert again.epoch > it.epoch
        assert (again.next, again.attempt, again.shown) == (it.next, 2, True)
        assert await streams.append(it.id, it.epoch, it.next, tokens("?")) is Answer.FENCED


async def test_a_worker_whose_control_subscription_is_gone_is_gone(streams: GenerationStreams) -> None:
    async with streams.control("worker-dead"):
        it = await told(streams, "Hi", worker="worker-dead")
    again = await claimed(streams, it.question, "worker-2")
    assert again.epoch > it.epoch
    assert (again.attempt, again.shown) == (2, True)


async def test_a_lease_that_ran_out_may_be_taken_over(hasty: GenerationStreams) -> None:
    async with hasty.control("worker-frozen"):
        it = await told(hasty, "Hi", worker="worker-frozen")

        async def claim() -> Run | None:
            answer = await hasty.claim(it.id, "worker-2")
            return answer if isinstance(answer, Run) else None

        run = await eventually(claim)
        assert (run.attempt, run.next) == (2, it.next)
        assert await hasty.append(it.id, it.epoch, it.next, tokens("late")) is Answer.FENCED
        assert await hasty.renew(it.id, it.epoch) is Answer.FENCED


async def test_a_lease_that_ran_out_fences_nobody_by_itself(hasty: GenerationStreams) -> None:
    async with hasty.control("worker-slow"):
        it = await told(hasty, "Hi", worker="worker-slow")
        over = time.monotonic() + SHORT.lease
        await eventually(lambda: time.monotonic() > over)
        assert await hasty.append(it.id, it.epoch, it.next, tokens("!")) == Appended(it.next + 1, cancel=False)
        assert await hasty.renew(it.id, it.epoch) == Renewed(cancel=False)
        assert isinstance(await hasty.claim(it.id, "worker-2"), Held)


async def test_a_renewed_lease_holds(place: Place) -> None:
    async with place.process(Pace(lease=0.4)) as streams, streams.control("worker-busy"):
        it = await told(streams, "Hi", worker="worker-busy")
        for _ in range(3):
            await eventually(lambda: _ends_within(streams, it.id, 250))
            assert await streams.renew(it.id, it.epoch) == Renewed(cancel=False)
            assert not await _ends_within(streams, it.id, 250)


async def _ends_within(streams: GenerationStreams, generation_id: str, ms: int) -> bool:
    held = await streams.claim(generation_id, "worker-2")
    assert isinstance(held, Held)
    return held.ms <= ms


async def test_what_was_let_go_is_taken_at_once(streams: GenerationStreams) -> None:
    async with streams.control("worker-leaving"):
        it = await told(streams, "Hi", worker="worker-leaving")
        for _ in range(2):
            assert await streams.release(it.id, it.epoch) is Answer.OK
        assert (await stands(streams, it.id)).state == "accepted"
        assert await streams.append(it.id, it.epoch, it.next, tokens("!")) is Answer.CLOSED
        run = await claimed(streams, it.question, "worker-2")
        assert (run.attempt, run.next, run.shown) == (2, it.next, True)
        assert await streams.release(it.id, it.epoch) is Answer.FENCED
        assert (await stands(streams, it.id)).state == "running"


async def test_an_attempt_whose_text_is_void_has_shown_nothing(streams: GenerationStreams) -> None:
    it = await told(streams, "Hi")
    await streams.append(it.id, it.epoch, it.next, [restarted()])
    await streams.release(it.id, it.epoch)
    assert (await claimed(streams, it.question)).shown is False


async def test_the_end_is_not_run_again(streams: GenerationStreams) -> None:
    it = await sealed(streams, "Done.")
    outcome = (await stands(streams, it.id)).outcome
    assert outcome is not None
    assert await streams.claim(it.id, "worker-2") == Sealed(outcome)
    await streams.close(it.id, it.epoch)
    assert await streams.claim(it.id, "worker-2") is Answer.CLOSED
    assert (await stands(streams, it.id)).next == it.next + 1
    # the claim raised no epoch: a repeated close still succeeds
    assert await streams.close(it.id, it.epoch) == Closed(f"{it.epoch}-{it.next}")


async def test_nothing_runs_that_was_aborted_or_has_no_log(streams: GenerationStreams) -> None:
    asked = await brought_to(streams, "aborted")
    assert await streams.claim(asked.generation_id, "worker-1") is Answer.ABORTED
    assert await streams.claim(new_id(), "worker-1") is Answer.NOLOG


async def test_what_waited_too_long_is_expired_unless_somebody_had_begun(streams: GenerationStreams) -> None:
    late = await accepted(streams, starts_before=soon(-1))
    assert await streams.claim(late.generation_id, "worker-1") is Answer.EXPIRED
    assert (await stands(streams, late.generation_id)).attempt == 0


async def test_a_generation_that_was_begun_in_time_never_expires(streams: GenerationStreams) -> None:
    limit = datetime.now(UTC) + timedelta(seconds=0.3)
    asked = await accepted(streams, starts_before=limit)
    run = await claimed(streams, asked)
    await streams.release(asked.generation_id, run.epoch)
    await eventually(lambda: datetime.now(UTC) > limit + timedelta(milliseconds=5))
    assert (await claimed(streams, asked)).attempt == 2


async def test_epochs_only_rise(streams: GenerationStreams) -> None:
    asked = await accepted(streams)
    epochs = [(await claimed(streams, asked)).epoch for _ in range(50)]
    assert epochs == sorted(set(epochs))
    assert epochs[-1] < 2**53


@pytest.mark.parametrize("difference", [-1, 1])
async def test_every_other_epoch_is_fenced(streams: GenerationStreams, difference: int) -> None:
    it = await told(streams, "Hi")
    other = it.epoch + difference
    before = await stands(streams, it.id)
    assert await streams.append(it.id, other, it.next, tokens("no")) is Answer.FENCED
    assert await streams.renew(it.id, other) is Answer.FENCED
    assert await streams.release(it.id, other) is Answer.FENCED
    assert await streams.seal(it.id, other, it.next, cancelled(it.question)) is Answer.FENCED
    assert await streams.close(it.id, other) is Answer.FENCED
    assert await stands(streams, it.id) == before


async def test_without_a_log_every_call_says_so(streams: GenerationStreams) -> None:
    asked = await accepted(streams)
    gone = new_id()
    assert await streams.append(gone, 1, 0, tokens("no")) is Answer.NOLOG
    assert await streams.renew(gone, 1) is Answer.NOLOG
    assert await streams.release(gone, 1) is Answer.NOLOG
    assert await streams.seal(gone, 1, 0, cancelled(asked)) is Answer.NOLOG
    assert await streams.seal(gone, None, 0, cancelled(asked)) is Answer.NOLOG
    assert await streams.close(gone, 1) is Answer.NOLOG
    assert await streams.recorded(gone, cancelled(asked)) is Answer.NOLOG
    assert await streams.cancel(asked.owner, gone, cancelled(asked)) is Answer.NOT_FOUND


async def test_a_cancel_is_said_on_the_control_channel_and_with_every_answer(streams: GenerationStreams) -> None:
    async with streams.control("worker-cancel") as words:
        it = await told(streams, "Hi", worker="worker-cancel")
        for _ in range(2):
            answer = await streams.cancel(it.question.owner, it.id, cancelled(it.question))
            assert answer == Flagged("worker-cancel")
            assert await anext(words) == Cancel(it.id, it.epoch)
        assert await streams.append(it.id, it.epoch, it.next, tokens("!")) == Appended(it.next + 1, cancel=True)
        assert await streams.renew(it.id, it.epoch) == Renewed(cancel=True)
        await streams.release(it.id, it.epoch)
        assert (await claimed(streams, it.question)).cancel is True
        assert (await stands(streams, it.id)).cancel is True


async def test_control_channels_are_heard_by_their_worker_alone(place: Place, streams: GenerationStreams) -> None:
    async with place.process() as other, other.control("worker-b") as theirs, streams.control("worker-a") as ours:
        mine, yours = await told(streams, worker="worker-a"), await told(streams, worker="worker-b")
        for it in (mine, yours):
            await streams.cancel(it.question.owner, it.id, cancelled(it.question))
        assert (await anext(ours)).generation_id == mine.id
        assert (await anext(theirs)).generation_id == yours.id
