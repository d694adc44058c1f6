"""Followers: late, resuming, slow, many, of logs that are aborted, replaced or lost; each ends with one text."""

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager

import pytest

from contracts.errors import LogMissing
from contracts.generation import Restarted, decode
from contracts.ids import new_id
from contracts.ports.streams import Batch, GenerationStreams, LogEvent
from tests.contract.ports.streams.places import Pace, Place
from tests.contract.ports.streams.story import (
    Told,
    accepted,
    batches,
    brought_to,
    claimed,
    closed,
    created,
    end,
    followed,
    names_of,
    restarted,
    sealed,
    seqs_of,
    soon,
    text_of,
    tokens,
    told,
)
from tests.eventually import eventually
from tests.factories import completed

QUICK = Pace(lease=0.2, look=0.1, stalled=0.3)


@pytest.fixture
async def quick(place: Place) -> AsyncGenerator[GenerationStreams, None]:
    """Streams that look often."""
    async with place.process(QUICK) as opened:
        yield opened


@asynccontextmanager
async def following(
    streams: GenerationStreams, generation_id: str, after: str | None = None
) -> AsyncGenerator[AsyncIterator[Batch], None]:
    """A follower that is closed at the end."""
    async with aclosing(streams.follow(generation_id, after)) as batches:  # pyright: ignore[reportArgumentType]
        yield batches


async def write(streams: GenerationStreams, it: Told, *texts: str) -> Told:
    """More tokens."""
    await streams.append(it.id, it.epoch, it.next, tokens(*texts))
    return Told(it.question, it.epoch, it.next + len(texts))


async def test_a_follower_sees_each_event_as_it_comes(streams: GenerationStreams) -> None:
    it = await told(streams)
    async with following(streams, it.id) as batches:
        assert names_of((await anext(batches)).events) == ["accepted", "started"]
        for text in ("a", "b", "c"):
            it = await write(streams, it, text)
            assert text_of((await anext(batches)).events) == text
        await end(streams, it)
        assert names_of((await anext(batches)).events) == ["completed"]
        with pytest.raises(StopAsyncIteration):
            await anext(batches)


async def test_a_late_follower_sees_every_token(streams: GenerationStreams) -> None:
    it = await told(streams, "a", "b")
    async with following(streams, it.id) as late:
        first = await anext(late)
        assert text_of(first.events) == "ab"
        await end(streams, await write(streams, it, "c"))
        rest = [event async for batch in late for event in batch.events]
    assert text_of([*first.events, *rest]) == "abc"
    assert seqs_of([*first.events, *rest]) == [0, 1, 2, 3, 4, 5]


async def test_a_follower_after_the_end_sees_everything(streams: GenerationStreams) -> None:
    it = await closed(streams, "a", "b")
    (batch,) = await batches(streams, it.id)
    assert seqs_of(batch.events) == [0, 1, 2, 3, 4]
    assert text_of(batch.events) == "ab"


async def test_a_follower_of_a_generation_in_the_queue_sees_it_begin(streams: GenerationStreams) -> None:
    asked = await created(streams)
    async with following(streams, asked.generation_id) as waiting:
        assert names_of((await anext(waiting)).events) == ["accepted"]
        run = await claimed(streams, asked)
        await streams.append(asked.generation_id, run.epoch, run.next, tokens("Hi"))
        assert text_of((await anext(waiting)).events) == "Hi"


async def test_resuming_from_every_event_gives_exactly_the_rest(streams: GenerationStreams) -> None:
    it = await told(streams, "a", "b")
    run = await claimed(streams, it.question)
    await streams.append(it.id, run.epoch, run.next, [restarted(), *tokens("c", "d")])
    await end(streams, Told(it.question, run.epoch, run.next + 3))
    whole = await followed(streams, it.id)
    for place, event in enumerate(whole[:-1]):
        assert await followed(streams, it.id, event.id) == whole[place + 1 :]


async def test_resuming_after_the_end_gives_the_end_again(streams: GenerationStreams) -> None:
    it = await closed(streams, "a")
    whole = await followed(streams, it.id)
    assert await followed(streams, it.id, whole[-1].id) == whole[-1:]


async def test_resuming_live_at_the_last_event_gives_what_comes_next(streams: GenerationStreams) -> None:
    it = await told(streams, "a")
    async with following(streams, it.id, f"{it.epoch}-{it.next - 1}") as resumed:
        assert await anext(resumed) == Batch()
        await write(streams, it, "b")
        assert text_of((await anext(resumed)).events) == "b"


@pytest.mark.parametrize(
    "unknown",
    ["1-0", "9007199254740991-3", "1-99", "", "-", "+", "$", "0-0", "nonsense", "1-2-3", "٣-1", "01-1", "1" * 5000, "\n"],
)  # fmt: skip
async def test_resuming_from_an_id_that_the_log_does_not_hold_restarts(
    streams: GenerationStreams, unknown: str
) -> None:
    it = await closed(streams, "a", "b")
    first, *rest = await followed(streams, it.id, unknown)
    assert first.id is None
    told_why = decode(first.encoded)
    assert isinstance(told_why, Restarted)
    assert (told_why.attempt, told_why.reason) == (1, "log_lost")
    assert rest == await followed(streams, it.id)


async def test_the_right_seq_under_another_epoch_is_not_held(streams: GenerationStreams) -> None:
    it = await closed(streams, "a", "b")
    first, *rest = await followed(streams, it.id, f"{it.epoch + 1}-2")
    assert first.id is None
    assert seqs_of(rest) == [0, 1, 2, 3, 4]


async def test_followers_of_one_stream_get_equal_bytes(place: Place, streams: GenerationStreams) -> None:
    it = await told(streams)
    async with place.process() as other:
        readers = [asyncio.create_task(followed(one, it.id)) for one in (streams, other)]
        for text in "abcdef":
            it = await write(streams, it, text)
        await end(streams, it)
        one, two = await asyncio.gather(*readers)
    assert one == two
    assert text_of(one) == "abcdef"


async def test_fifty_followers_of_one_stream_each_see_everything(streams: GenerationStreams) -> None:
    it = await told(streams)
    readers = [asyncio.create_task(followed(streams, it.id)) for _ in range(50)]
    texts = [f"{number} " for number in range(200)]
    for text in texts:
        it = await write(streams, it, text)
    await end(streams, it)
    everything = await asyncio.gather(*readers)
    assert all(one == everything[0] for one in everything)
    assert text_of(everything[0]) == "".join(texts)


async def test_followers_that_come_and_go_do_not_disturb_each_other(streams: GenerationStreams) -> None:
    it = await told(streams)
    steady = asyncio.create_task(followed(streams, it.id))
    for number in range(30):
        async with following(streams, it.id) as passing:
            await anext(passing)
        it = await write(streams, it, f"{number} ")
    await end(streams, it)
    assert text_of(await steady) == "".join(f"{number} " for number in range(30))


async def test_a_follower_that_is_cancelled_while_it_joins_leaves_the_others_alone(
    streams: GenerationStreams,
) -> None:
    it = await told(streams, "a")
    hasty = [asyncio.create_task(followed(streams, it.id)) for _ in range(5)]
    steady = asyncio.create_task(followed(streams, it.id))
    await asyncio.sleep(0)
    for one in hasty:
        one.cancel()
    await asyncio.gather(*hasty, return_exceptions=True)
    await end(streams, await write(streams, it, "b"))
    assert text_of(await steady) == "ab"


async def test_a_slow_follower_misses_nothing(streams: GenerationStreams) -> None:
    it = await told(streams)
    async with following(streams, it.id) as slow:
        events: list[LogEvent] = list((await anext(slow)).events)
        texts = [f"{number} {'x' * 900} " for number in range(1000)]
        for text in texts:
            it = await write(streams, it, text)
        events += (await anext(slow)).events
        await end(streams, it)
        async for batch in slow:
            events += batch.events
    assert seqs_of(events) == list(range(it.next + 1))
    assert text_of(events) == "".join(texts)


async def test_a_takeover_is_seen_in_the_same_stream(streams: GenerationStreams) -> None:
    it = await told(streams, "Hal", "f")
    reader = asyncio.create_task(followed(streams, it.id))
    run = await claimed(streams, it.question)
    await streams.append(it.id, run.epoch, run.next, [restarted(), *tokens("Whole.")])
    await streams.append(it.id, it.epoch, it.next, tokens("late"))
    await end(streams, Told(it.question, run.epoch, run.next + 2))
    events = await reader
    assert text_of(events) == "Whole."
    assert seqs_of(events) == list(range(len(events)))


async def test_what_is_recorded_reaches_those_who_follow(streams: GenerationStreams) -> None:
    it = await sealed(streams, "Wrong")
    reader = asyncio.create_task(followed(streams, it.id))
    await streams.recorded(it.id, completed(it.question, "Right"))
    events = await reader
    assert text_of(events) == "Right"
    assert seqs_of(events) == list(range(len(events)))


async def test_without_a_log_there_is_nothing_to_follow(streams: GenerationStreams) -> None:
    aborted = await brought_to(streams, "aborted")
    for generation_id in (new_id(), aborted.generation_id):
        with pytest.raises(LogMissing):
            await followed(streams, generation_id)


async def test_a_follower_learns_at_once_that_its_generation_was_aborted(streams: GenerationStreams) -> None:
    asked = await created(streams)
    async with following(streams, asked.generation_id) as waiting:
        await anext(waiting)
        began = time.monotonic()
        await streams.abort(asked.generation_id)
        with pytest.raises(LogMissing):
            await anext(waiting)
        assert time.monotonic() - began < 2  # the look every 5 s would tell as well


async def test_a_quiet_log_gives_empty_batches(quick: GenerationStreams) -> None:
    it = await told(quick, "Hi")
    async with following(quick, it.id) as quiet:
        await anext(quiet)
        for _ in range(3):
            await quick.renew(it.id, it.epoch)
            began = time.monotonic()
            assert await anext(quiet) == Batch()
            assert time.monotonic() - began < 1


async def test_a_log_without_lease_and_end_is_stalled_until_somebody_takes_it(quick: GenerationStreams) -> None:
    it = await told(quick, "Hi")
    async with following(quick, it.id) as waiting:
        assert (await anext(waiting)).stalled is False
        seen = [await anext(waiting)]
        while not seen[-1].stalled:
            seen.append(await anext(waiting))
        assert (await anext(waiting)).stalled is True
        run = await claimed(quick, it.question, "worker-2")
        await quick.append(it.id, run.epoch, run.next, tokens("!"))
        assert (await anext(waiting)) == Batch(events=_last(await _now(quick, it.id)))


async def _now(streams: GenerationStreams, generation_id: str) -> tuple[LogEvent, ...]:
    async with following(streams, generation_id) as one:
        return (await anext(one)).events


def _last(events: tuple[LogEvent, ...]) -> tuple[LogEvent, ...]:
    return events[-1:]


async def test_a_late_follower_is_told_at_once_that_the_log_is_stalled(quick: GenerationStreams) -> None:
    it = await told(quick, "Hi")

    async def stalled() -> bool:
        async with following(quick, it.id) as late:
            return (await anext(late)).stalled

    assert await stalled() is False
    assert await eventually(stalled)


async def test_an_ended_log_is_never_stalled(quick: GenerationStreams) -> None:
    it = await closed(quick, "Hi")
    later = time.monotonic() + QUICK.lease + QUICK.stalled
    await eventually(lambda: time.monotonic() > later)
    assert [one.stalled for one in await batches(quick, it.id)] == [False]


async def test_a_log_that_was_lost_is_missing(place: Place, quick: GenerationStreams) -> None:
    it = await told(quick, "Hi")
    async with following(quick, it.id) as waiting:
        await anext(waiting)
        await place.lose(it.id)
        rest = asyncio.create_task(_rest(waiting))
        with pytest.raises(LogMissing):
            await asyncio.wait_for(rest, 5)


async def _rest(batches: AsyncIterator[Batch]) -> list[Batch]:
    return [batch async for batch in batches]


async def test_a_log_that_took_the_place_of_another_is_shown_from_its_start(
    place: Place, streams: GenerationStreams
) -> None:
    it = await told(streams, "Lost", " text", " of", " some", " length")
    async with following(streams, it.id) as reader:
        await anext(reader)
        await place.lose(it.id)
        await streams.create(it.question, starts_before=soon(), deadline=soon())
        run = await claimed(streams, it.question)
        await streams.append(it.id, run.epoch, run.next, tokens("New"))
        await end(streams, Told(it.question, run.epoch, run.next + 1))
        events = [event async for batch in reader for event in batch.events]
    assert names_of(events) == ["restarted", "accepted", "token", "completed"]
    assert events[0].id is None
    assert seqs_of(events[1:]) == [0, 1, 2]


async def test_the_owner_of_a_followed_log_may_change_many_times(streams: GenerationStreams) -> None:
    asked = await accepted(streams)
    reader = asyncio.create_task(followed(streams, asked.generation_id))
    text = ""
    for number in range(10):
        run = await claimed(streams, asked, f"worker-{number}")
        await streams.append(asked.generation_id, run.epoch, run.next, tokens(f"{number}"))
        text += str(number)
    await end(streams, Told(asked, run.epoch, run.next + 1))
    assert text_of(await reader) == text
