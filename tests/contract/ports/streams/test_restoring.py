"""Logs that are lost, whole or their last writes: their workers write them again, and nobody sees two texts."""

import asyncio
from contextlib import aclosing
from dataclasses import replace

import pytest

from contracts.errors import LogMissing
from contracts.generation import MAX_TEXT_BYTES
from contracts.ports.streams import (
    Answer,
    Appended,
    Closed,
    Gap,
    GenerationStreams,
    Held,
    LogEvent,
    Renewed,
    State,
)
from tests.contract.ports.streams.places import Place
from tests.contract.ports.streams.story import (
    STATES,
    Told,
    accepted,
    brought_to,
    cancelled,
    claimed,
    closed,
    end,
    followed,
    known,
    names_of,
    restarted,
    seqs_of,
    soon,
    stands,
    started,
    text_of,
    tokens,
    told,
    tool_call,
)
from tests.factories import completed

WORKER = "worker-1"


async def test_a_log_that_was_lost_is_written_again_whole(place: Place, streams: GenerationStreams) -> None:
    it = await told(streams, "Łódź\n", "\u2028 {", "data: x\n\n")
    run = await claimed(streams, it.question)
    more = [restarted(), started(2, "two"), *tokens("Hello\r\n", " there"), tool_call()]
    await streams.append(it.id, run.epoch, run.next, more)
    before = await stands(streams, it.id)
    lost = await known(streams, Told(it.question, run.epoch, before.next))
    await place.lose(it.id)
    assert await streams.restore(lost) is Answer.OK
    after = await stands(streams, it.id)
    assert after == before
    assert [one.tokens for one in after.events] == [one.tokens for one in before.events]
    assert (after.text, after.attempt, after.backend) == ("Hello\r\n there", 2, "two")


async def test_writing_goes_on_under_the_same_epoch_and_resends_may_straddle(
    place: Place, streams: GenerationStreams
) -> None:
    it = await told(streams, "a", "b")
    lost = await known(streams, it)
    await place.lose(it.id)
    assert await streams.append(it.id, it.epoch, it.next, tokens("c")) is Answer.NOLOG
    await streams.restore(lost)
    assert await streams.append(it.id, it.epoch, it.next + 1, tokens("d")) == Gap(it.next)
    straddling = tokens("b", "c", "d")
    assert await streams.append(it.id, it.epoch, it.next - 1, straddling) == Appended(it.next + 2, cancel=False)
    await end(streams, Told(it.question, it.epoch, it.next + 2))
    events = await followed(streams, it.id)
    assert (text_of(events), seqs_of(events)) == ("abcd", list(range(7)))
    assert await streams.close(it.id, it.epoch) == Closed(str(events[-1].id))


async def test_it_is_held_by_its_worker_again(place: Place, streams: GenerationStreams) -> None:
    async with streams.control(WORKER):
        it = await told(streams, "Hi")
        lost = await known(streams, it)
        await place.lose(it.id)
        await streams.restore(lost)
        held = await streams.claim(it.id, "worker-2")
        assert isinstance(held, Held)
        assert held.owner == WORKER
        assert 8000 < held.ms <= 10_000
        assert await streams.renew(it.id, it.epoch) == Renewed(cancel=False)
    run = await claimed(streams, it.question, "worker-2")
    assert run.epoch > it.epoch
    assert (run.next, run.attempt, run.shown) == (it.next, 2, True)


async def test_it_lives_until_an_hour_after_its_deadline(place: Place, streams: GenerationStreams) -> None:
    it = await told(streams, "Hi")
    lost = replace(await known(streams, it), deadline=soon(5))
    await place.lose(it.id)
    await streams.restore(lost)
    assert 64 * 60 < await place.seconds_left(it.id) <= 65 * 60


async def test_a_cancel_that_the_worker_knew_of_stands_again(place: Place, streams: GenerationStreams) -> None:
    it = await told(streams, "Hi")
    lost = await known(streams, it, cancel=True)
    await place.lose(it.id)
    await streams.restore(lost)
    assert await streams.append(it.id, it.epoch, it.next, tokens("!")) == Appended(it.next + 1, cancel=True)
    assert await streams.seal(it.id, it.epoch, it.next + 1, completed(it.question, "Hi!")) is Answer.CANCELLED


@pytest.mark.parametrize("state", STATES)
async def test_a_log_that_stands_is_left_as_it_is(streams: GenerationStreams, state: State) -> None:
    asked = await brought_to(streams, state)
    (before,) = await streams.read([asked.generation_id])
    other = await told(streams, "Mine")
    lost = replace(await known(streams, other), question=asked)
    assert await streams.restore(lost) is Answer.EXISTS
    assert await streams.read([asked.generation_id]) == [before]
    if state == "aborted":
        assert await streams.claim(asked.generation_id, WORKER) is Answer.ABORTED


async def test_what_began_anew_meanwhile_fences_who_lost_its_log(place: Place, streams: GenerationStreams) -> None:
    it = await told(streams, "Old")
    lost = await known(streams, it)
    await place.lose(it.id)
    await streams.create(it.question, starts_before=soon(5), deadline=soon())
    run = await claimed(streams, it.question, "worker-2")
    await streams.append(it.id, run.epoch, run.next, tokens("New"))
    assert await streams.restore(lost) is Answer.EXISTS
    assert await streams.append(it.id, it.epoch, it.next, tokens("!")) is Answer.FENCED
    assert (await stands(streams, it.id)).text == "New"


async def test_a_restore_whose_answer_was_lost_may_be_repeated(place: Place, streams: GenerationStreams) -> None:
    it = await told(streams, "Hi")
    lost = await known(streams, it)
    await place.lose(it.id)
    await streams.restore(lost)
    await streams.append(it.id, it.epoch, it.next, tokens("!"))
    assert await streams.restore(lost) is Answer.OK
    assert (await stands(streams, it.id)).text == "Hi!"


async def test_its_text_counts_towards_the_limit(place: Place, streams: GenerationStreams) -> None:
    it = await told(streams)
    texts = [*tokens("void" * 1000), restarted(), *tokens("x" * (MAX_TEXT_BYTES - 10))]
    await streams.append(it.id, it.epoch, it.next, texts)
    lost = await known(streams, it)
    await place.lose(it.id)
    await streams.restore(lost)
    assert await streams.append(it.id, it.epoch, it.next + 3, tokens("y" * 11)) is Answer.TOO_BIG
    assert isinstance(await streams.append(it.id, it.epoch, it.next + 3, tokens("y" * 10)), Appended)


@pytest.mark.parametrize(("texts", "deaths"), [((), 1), (("Hi",), 0)])
async def test_whether_its_epoch_had_shown_text_is_known_again(
    place: Place, streams: GenerationStreams, texts: tuple[str, ...], deaths: int
) -> None:
    it = await told(streams, "of an earlier attempt", worker="worker-0")
    run = await claimed(streams, it.question)
    await streams.append(it.id, run.epoch, run.next, [started(2), *tokens(*texts)])
    lost = await known(streams, Told(it.question, run.epoch, run.next + 1))
    await place.lose(it.id)
    await streams.restore(lost)
    assert (await claimed(streams, it.question, "worker-2")).deaths == deaths


async def test_a_claim_tells_the_epoch_that_the_log_began_with(place: Place, streams: GenerationStreams) -> None:
    it = await told(streams, "Hi")
    born = int(str((await stands(streams, it.id)).events[0].id).split("-")[0])
    run = await claimed(streams, it.question)
    assert run.born == born != run.epoch
    lost = await known(streams, Told(it.question, run.epoch, run.next))
    await place.lose(it.id)
    await streams.restore(lost)
    assert (await claimed(streams, it.question, "worker-2")).born == born


async def test_a_whole_mebibyte_in_small_pieces_is_written_again(place: Place, streams: GenerationStreams) -> None:
    it = await told(streams)
    pieces = tokens(*("x" * 32 for _ in range(MAX_TEXT_BYTES // 32)))
    for start in range(0, len(pieces), 4096):
        await streams.append(it.id, it.epoch, it.next + start, pieces[start : start + 4096])
    lost = await known(streams, it)
    await place.lose(it.id)
    assert await streams.restore(lost) is Answer.OK
    assert (await stands(streams, it.id)).events == lost.events
    assert await streams.append(it.id, it.epoch, it.next + len(pieces), tokens("y")) is Answer.TOO_BIG


# followers


async def test_who_resumes_from_an_event_of_the_lost_log_gets_exactly_the_rest(
    place: Place, streams: GenerationStreams
) -> None:
    it = await told(streams, "a", "b", "c")
    lost = await known(streams, it)
    await place.lose(it.id)
    with pytest.raises(LogMissing):
        await followed(streams, it.id, f"{it.epoch}-{it.next - 2}")
    await streams.restore(lost)
    await end(streams, it)
    assert names_of(await followed(streams, it.id, f"{it.epoch}-{it.next - 2}")) == ["token", "completed"]


async def test_who_follows_while_a_log_is_lost_and_restored_sees_each_event_once(
    place: Place, streams: GenerationStreams
) -> None:
    it = await told(streams, "a", "b")
    async with aclosing(streams.follow(it.id)) as batches:  # pyright: ignore[reportArgumentType]
        seen: list[LogEvent] = list((await anext(batches)).events)
        lost = await known(streams, it)
        await place.lose(it.id)
        more = (LogEvent(f"{it.epoch}-{it.next}", tokens("c")[0][0]),)
        await streams.restore(replace(lost, events=(*lost.events, *more)))  # said while there was no log
        async with asyncio.timeout(3):  # the look every 5 s would tell as well
            seen += (await anext(batches)).events
        await end(streams, Told(it.question, it.epoch, it.next + 1))
        async for batch in batches:
            seen += batch.events
    assert names_of(seen) == ["accepted", "started", "token", "token", "token", "completed"]
    assert seqs_of(seen) == list(range(6))


# logs that came back shorter


async def test_the_last_writes_that_were_lost_are_written_again_from_where_the_log_says(
    place: Place, streams: GenerationStreams
) -> None:
    it = await told(streams, "a")
    backup = await place.backup(it.id)
    await streams.append(it.id, it.epoch, it.next, tokens("b", "c"))
    await place.put_back(it.id, backup)
    assert await streams.append(it.id, it.epoch, it.next + 2, tokens("d")) == Gap(it.next)
    assert await streams.seal(it.id, it.epoch, it.next + 2, completed(it.question, "abc")) == Gap(it.next)
    assert await streams.append(it.id, it.epoch, it.next, tokens("b", "c", "d")) == Appended(it.next + 3, cancel=False)
    assert (await stands(streams, it.id)).text == "abcd"


async def test_a_claim_that_was_lost_with_the_last_writes_is_fenced_by_the_older_epoch(
    place: Place, streams: GenerationStreams
) -> None:
    it = await told(streams, "a")
    backup = await place.backup(it.id)
    run = await claimed(streams, it.question, "worker-2")
    await streams.append(it.id, run.epoch, run.next, [restarted(), *tokens("b")])
    await place.put_back(it.id, backup)
    assert await streams.append(it.id, run.epoch, run.next + 2, tokens("c")) is Answer.FENCED
    assert await streams.renew(it.id, run.epoch) is Answer.FENCED
    assert await streams.release(it.id, run.epoch) is Answer.FENCED
    assert await streams.seal(it.id, run.epoch, run.next + 2, completed(it.question, "b")) is Answer.FENCED
    assert await streams.close(it.id, run.epoch) is Answer.FENCED
    assert (await stands(streams, it.id)).text == "a"


async def test_an_epoch_that_was_lost_is_never_given_again(place: Place, streams: GenerationStreams) -> None:
    asked = await accepted(streams)
    backup = await place.backup(asked.generation_id)
    epochs: list[int] = []
    for number in range(20):
        epochs.append((await claimed(streams, asked, f"worker-{number}")).epoch)
        if number == 10:
            await place.lose(asked.generation_id)
        await place.put_back(asked.generation_id, backup)
    assert sorted(set(epochs)) == epochs


async def test_who_saw_more_than_the_log_now_holds_is_told_that_it_is_void(
    place: Place, streams: GenerationStreams
) -> None:
    it = await told(streams, "a")
    backup = await place.backup(it.id)
    reader = asyncio.create_task(followed(streams, it.id))
    await streams.append(it.id, it.epoch, it.next, tokens("b"))
    lost_id = f"{it.epoch}-{it.next}"
    await place.put_back(it.id, backup)
    run = await claimed(streams, it.question, "worker-2")
    await streams.append(it.id, run.epoch, run.next, tokens("c"))
    await end(streams, Told(it.question, run.epoch, run.next + 1))
    assert text_of(await asyncio.wait_for(reader, 10)) == "ac"
    resumed = await followed(streams, it.id, lost_id)
    assert resumed[0].id is None
    assert names_of(resumed) == ["restarted", "accepted", "started", "token", "token", "completed"]


async def test_who_saw_more_than_the_log_now_holds_is_told_at_once(place: Place, streams: GenerationStreams) -> None:
    it = await told(streams, "a")
    async with aclosing(streams.follow(it.id)) as batches:  # pyright: ignore[reportArgumentType]
        await anext(batches)
        backup = await place.backup(it.id)
        await streams.append(it.id, it.epoch, it.next, tokens("b"))
        assert text_of((await anext(batches)).events) == "b"
        await place.put_back(it.id, backup)
        async with asyncio.timeout(3):
            again = (await anext(batches)).events
    assert names_of(again) == ["restarted", "accepted", "started", "token"]
    assert again[0].id is None


async def test_an_end_that_was_lost_is_put_back_by_what_was_recorded(place: Place, streams: GenerationStreams) -> None:
    it = await told(streams, "Half")
    backup = await place.backup(it.id)
    await streams.append(it.id, it.epoch, it.next, tokens(" and whole"))
    await end(streams, Told(it.question, it.epoch, it.next + 1))
    await place.put_back(it.id, backup)
    outcome = completed(it.question, "Half and whole")
    assert isinstance(await streams.recorded(it.id, outcome), Closed)
    snapshot = await stands(streams, it.id)
    assert (snapshot.state, snapshot.text, snapshot.outcome) == ("closed", "Half and whole", outcome)
    assert len({one.id for one in snapshot.events}) == snapshot.next


async def test_a_cancel_that_was_lost_with_the_last_writes_leaves_the_worker_writing(
    place: Place, streams: GenerationStreams
) -> None:
    it = await told(streams, "a")
    backup = await place.backup(it.id)
    await streams.cancel(it.question.owner, it.id, cancelled(it.question))
    await place.put_back(it.id, backup)
    assert await streams.append(it.id, it.epoch, it.next, tokens("b")) == Appended(it.next + 1, cancel=False)


async def test_a_closed_log_that_expired_may_be_followed_no_more(place: Place, streams: GenerationStreams) -> None:
    it = await closed(streams, "a")
    last = (await stands(streams, it.id)).last_id
    await place.lose(it.id)
    for after in (None, last):
        with pytest.raises(LogMissing):
            await followed(streams, it.id, after)
    assert await streams.recorded(it.id, completed(it.question, "a")) is Answer.NOLOG
