"""Generations that end their workers: deaths and takeovers are counted, and what has too many is not run again."""

import pytest

from contracts.generation import Thinking, encode
from contracts.ports.streams import Answer, GenerationStreams, Held, Run
from tests.contract.ports.streams.places import Place
from tests.contract.ports.streams.story import (
    Told,
    accepted,
    cancelled,
    claimed,
    names_of,
    restarted,
    stands,
    started,
    tokens,
    told,
    tool_call,
)

TEXT = {"token": tokens("Hi")[0], "thinking": (encode(Thinking(text="Hm.")), 1), "tool_call": tool_call()}


async def dying(streams: GenerationStreams, *workers: str) -> Told:
    """Each of these workers took it, began, and was gone before it showed anything."""
    asked = await accepted(streams)
    for worker in workers:
        run = await claimed(streams, asked, worker)
        await streams.append(asked.generation_id, run.epoch, run.next, [started(run.attempt)])
    return Told(asked, run.epoch, run.next + 1)


async def test_a_first_claim_knows_of_no_death(streams: GenerationStreams) -> None:
    assert (await claimed(streams, await accepted(streams))).deaths == 0


async def test_a_worker_that_was_gone_before_it_showed_anything_is_a_death(streams: GenerationStreams) -> None:
    it = await dying(streams, "one")
    assert (await claimed(streams, it.question, "two")).deaths == 1


async def test_a_worker_whose_lease_ran_out_before_it_showed_anything_is_a_death(
    place: Place, streams: GenerationStreams
) -> None:
    async with streams.control("frozen"):
        it = await dying(streams, "frozen")
        assert isinstance(await streams.claim(it.id, "two"), Held)
        await place.overrun(it.id)
        assert (await claimed(streams, it.question, "two")).deaths == 1


async def test_after_two_deaths_nothing_runs_any_more(streams: GenerationStreams) -> None:
    it = await dying(streams, "one", "two")
    before = await stands(streams, it.id)
    for worker in ("three", "four", "two", "three"):
        assert await streams.claim(it.id, worker) is Answer.QUARANTINE
    after = await stands(streams, it.id)
    assert (after.state, after.attempt, after.last_id) == ("running", before.attempt, before.last_id)


async def test_what_is_in_quarantine_is_sealed_by_whoever_finds_it(streams: GenerationStreams) -> None:
    it = await dying(streams, "one", "two")
    assert await streams.claim(it.id, "three") is Answer.QUARANTINE
    assert await streams.seal(it.id, None, it.next, cancelled(it.question)) is Answer.OK
    assert await streams.append(it.id, it.epoch, it.next, tokens("late")) is Answer.FENCED


@pytest.mark.parametrize("kind", list(TEXT))
async def test_text_sets_deaths_back(streams: GenerationStreams, kind: str) -> None:
    it = await dying(streams, "one", "two")
    await streams.append(it.id, it.epoch, it.next, [TEXT[kind]])
    assert (await claimed(streams, it.question, "three")).deaths == 0
    assert (await claimed(streams, it.question, "four")).deaths == 1


async def test_text_that_is_void_again_was_shown_all_the_same(streams: GenerationStreams) -> None:
    it = await dying(streams, "one")
    await streams.append(it.id, it.epoch, it.next, [*tokens("Hi"), restarted(), started()])
    assert (await claimed(streams, it.question, "two")).deaths == 0


async def test_text_of_an_earlier_attempt_excuses_nobody(streams: GenerationStreams) -> None:
    it = await told(streams, "Hi", worker="one")
    for number, worker in enumerate(("two", "three")):
        run = await claimed(streams, it.question, worker)
        assert (run.shown, run.deaths) == (True, number)
        await streams.append(it.id, run.epoch, run.next, [started(run.attempt)])
    assert await streams.claim(it.id, "four") is Answer.QUARANTINE


async def test_ten_takeovers_are_quarantine_whatever_was_shown(streams: GenerationStreams) -> None:
    asked = await accepted(streams)
    for number in range(10):
        run = await claimed(streams, asked, f"worker-{number}")
        assert run.deaths == 0
        await streams.append(asked.generation_id, run.epoch, run.next, tokens(f"{number} "))
    for _ in range(2):
        assert await streams.claim(asked.generation_id, "worker-10") is Answer.QUARANTINE
    assert len(names_of((await stands(streams, asked.generation_id)).events)) == 11


async def test_what_was_let_go_or_claimed_over_counts_nothing(streams: GenerationStreams) -> None:
    asked = await accepted(streams)
    for number in range(12):
        run = await claimed(streams, asked, f"worker-{number}")
        again = await claimed(streams, asked, f"worker-{number}")
        assert (run.deaths, again.deaths) == (0, 0)
        await streams.release(asked.generation_id, again.epoch)
    assert again.attempt == 24


async def test_a_death_is_remembered_over_a_hand_over_and_forgotten_with_text(streams: GenerationStreams) -> None:
    it = await dying(streams, "one")
    run = await claimed(streams, it.question, "two")
    await streams.release(it.id, run.epoch)
    run = await claimed(streams, it.question, "three")
    assert run.deaths == 1
    await streams.append(it.id, run.epoch, run.next, tokens("Hi"))
    await streams.release(it.id, run.epoch)
    assert (await claimed(streams, it.question, "four")).deaths == 0


# who runs one with deaths takes no other


async def test_who_runs_a_suspect_is_not_given_another(streams: GenerationStreams) -> None:
    it = await dying(streams, "one")
    before = await stands(streams, it.id)
    for _ in range(3):
        assert await streams.claim(it.id, "two", suspects=False) == Held("one", 250)
    assert await stands(streams, it.id) == before
    assert (await claimed(streams, it.question, "two")).deaths == 1


async def test_a_suspect_that_was_let_go_waits_as_well(streams: GenerationStreams) -> None:
    it = await dying(streams, "one")
    run = await claimed(streams, it.question, "two")
    await streams.release(it.id, run.epoch)
    assert await streams.claim(it.id, "three", suspects=False) == Held("", 250)
    assert (await claimed(streams, it.question, "three")).deaths == 1


async def test_a_second_death_is_not_counted_by_who_runs_a_suspect(streams: GenerationStreams) -> None:
    it = await dying(streams, "one", "two")
    assert await streams.claim(it.id, "three", suspects=False) == Held("two", 250)
    assert await streams.claim(it.id, "three") is Answer.QUARANTINE


async def test_what_has_no_deaths_is_given_to_who_runs_a_suspect(streams: GenerationStreams) -> None:
    fresh = await accepted(streams)
    assert isinstance(await streams.claim(fresh.generation_id, "two", suspects=False), Run)
    it = await told(streams, "Hi", worker="one")
    assert isinstance(await streams.claim(it.id, "two", suspects=False), Run)


async def test_who_runs_a_suspect_is_still_told_what_has_ended(streams: GenerationStreams) -> None:
    it = await dying(streams, "one")
    await streams.seal(it.id, None, it.next, cancelled(it.question))
    answer = await streams.claim(it.id, "two", suspects=False)
    assert getattr(answer, "outcome", None) == (await stands(streams, it.id)).outcome
