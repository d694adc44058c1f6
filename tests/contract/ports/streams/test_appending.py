"""Writing events: order, resends, gaps, sizes."""

import asyncio

import pytest

from contracts.generation import MAX_TEXT_BYTES, Thinking, Token, decode, encode, encode_text
from contracts.ports.streams import Answer, Appended, Gap, GenerationStreams
from tests.contract.ports.streams.story import (
    CALL,
    brought_to,
    closed,
    end,
    followed,
    names_of,
    restarted,
    seqs_of,
    stands,
    started,
    tokens,
    told,
    tool_call,
)
from tests.factories import completed


async def test_events_stand_in_order_under_their_epoch(streams: GenerationStreams) -> None:
    it = await told(streams)
    answer = await streams.append(it.id, it.epoch, it.next, tokens("a", "b"))
    assert answer == Appended(it.next + 2, cancel=False)
    assert await streams.append(it.id, it.epoch, it.next + 2, tokens("c")) == Appended(it.next + 3, cancel=False)
    snapshot = await stands(streams, it.id)
    assert (snapshot.text, snapshot.next, snapshot.backend) == ("abc", it.next + 3, "one")
    assert snapshot.last_id == f"{it.epoch}-{it.next + 2}"


async def test_a_resend_changes_nothing_and_a_longer_one_adds_what_is_new(streams: GenerationStreams) -> None:
    it = await told(streams)
    for _ in range(2):
        assert await streams.append(it.id, it.epoch, it.next, tokens("a", "b")) == Appended(it.next + 2, cancel=False)
    longer = tokens("a", "b", "c", "d")
    assert await streams.append(it.id, it.epoch, it.next, longer) == Appended(it.next + 4, cancel=False)
    assert await streams.append(it.id, it.epoch, it.next + 1, tokens("b")) == Appended(it.next + 4, cancel=False)
    assert (await stands(streams, it.id)).text == "abcd"


async def test_a_gap_is_told_and_nothing_is_written(streams: GenerationStreams) -> None:
    it = await told(streams, "a")
    assert await streams.append(it.id, it.epoch, it.next + 1, tokens("c")) == Gap(it.next)
    assert (await stands(streams, it.id)).text == "a"


async def test_an_append_of_nothing_tells_where_the_log_stands(streams: GenerationStreams) -> None:
    it = await told(streams, "a")
    assert await streams.append(it.id, it.epoch, it.next, []) == Appended(it.next, cancel=False)


@pytest.mark.parametrize("state", ["sealed", "closed"])
async def test_what_has_ended_takes_nothing_more(streams: GenerationStreams, state: str) -> None:
    it = await closed(streams, "a") if state == "closed" else await told(streams, "a")
    if state == "sealed":
        await streams.seal(it.id, it.epoch, it.next, completed(it.question, "a"))
    before = await stands(streams, it.id)
    assert await streams.append(it.id, it.epoch, it.next, tokens("b")) is Answer.CLOSED
    assert await stands(streams, it.id) == before


async def test_any_text_comes_back_as_it_was(streams: GenerationStreams) -> None:
    odd = ["\x00", "\n", "\u2028", "\x85", "🙂", '{"event":"completed"}', "\\", " ", "Łódź\r\n\r\n", "data: x\n\n"]
    it = await told(streams, *odd)
    thinking = [(encode(Thinking(text=one)), 1) for one in odd]
    await streams.append(it.id, it.epoch, it.next, [*thinking, tool_call()])
    snapshot = await stands(streams, it.id)
    assert snapshot.text == snapshot.thinking == "".join(odd)
    assert snapshot.tool_calls == (CALL,)
    await streams.seal(it.id, it.epoch, snapshot.next, completed(it.question, "".join(odd)))
    await streams.close(it.id, it.epoch)
    pieces = [decode(one.encoded) for one in await followed(streams, it.id)]
    assert [one.text for one in pieces if isinstance(one, Token)] == odd


async def test_restarted_voids_what_was_shown(streams: GenerationStreams) -> None:
    it = await told(streams, "Old")
    events = [tool_call(), restarted(), started(2, "two"), *tokens("New")]
    await streams.append(it.id, it.epoch, it.next, events)
    snapshot = await stands(streams, it.id)
    assert (snapshot.text, snapshot.tool_calls, snapshot.backend) == ("New", (), "two")


async def test_text_is_bounded_at_one_mebibyte(streams: GenerationStreams) -> None:
    it = await told(streams)
    half = "x" * (MAX_TEXT_BYTES // 2)
    assert await streams.append(it.id, it.epoch, it.next, tokens(half, half)) == Appended(it.next + 2, cancel=False)
    assert await streams.append(it.id, it.epoch, it.next + 2, tokens("y")) is Answer.TOO_BIG
    assert (await stands(streams, it.id)).next == it.next + 2
    # what stands already is not counted again
    assert isinstance(await streams.append(it.id, it.epoch, it.next, tokens(half, half)), Appended)


async def test_a_restart_makes_room_again(streams: GenerationStreams) -> None:
    it = await told(streams)
    whole = "x" * (MAX_TEXT_BYTES - 10)
    await streams.append(it.id, it.epoch, it.next, tokens(whole))
    events = [restarted(), started(2), *tokens(whole)]
    assert isinstance(await streams.append(it.id, it.epoch, it.next + 1, events), Appended)
    assert len((await stands(streams, it.id)).text) == len(whole)


async def test_a_long_log_is_followed_whole(streams: GenerationStreams) -> None:
    it = await told(streams)
    texts = [str(number) for number in range(3000)]
    for start in range(0, 3000, 100):
        await streams.append(it.id, it.epoch, it.next + start, tokens(*texts[start : start + 100]))
    await streams.seal(it.id, it.epoch, it.next + 3000, completed(it.question, "".join(texts)))
    await streams.close(it.id, it.epoch)
    events = await followed(streams, it.id)
    assert seqs_of(events) == list(range(it.next + 3001))
    assert names_of(events)[-1] == "completed"


async def test_many_generations_are_written_at_once(streams: GenerationStreams) -> None:
    async def write(number: int) -> None:
        it = await told(streams)
        for place in range(20):
            text = tokens(f"{number}.{place} ")
            assert await streams.append(it.id, it.epoch, it.next + place, text) == Appended(
                it.next + place + 1, cancel=False
            )
        assert (await stands(streams, it.id)).text == "".join(f"{number}.{place} " for place in range(20))

    await asyncio.gather(*(write(number) for number in range(30)))


async def test_the_counts_of_tokens_are_the_writers_affair(streams: GenerationStreams) -> None:
    it = await told(streams)
    await streams.append(it.id, it.epoch, it.next, [(encode_text("token", "four tokens in one"), 4)])
    await end(streams, type(it)(it.question, it.epoch, it.next + 1))
    assert names_of(await followed(streams, it.id)) == ["accepted", "started", "token", "completed"]


async def test_an_aborted_log_takes_nothing(streams: GenerationStreams) -> None:
    asked = await brought_to(streams, "aborted")
    assert await streams.read([asked.generation_id]) == [None]
    assert await streams.append(asked.generation_id, 1, 1, tokens("no")) is Answer.FENCED


async def test_who_reads_a_whole_log_gets_all_its_events_and_their_tokens(streams: GenerationStreams) -> None:
    it = await told(streams, "Hel")
    events = [restarted(), started(2), (encode_text("thinking", "Hm."), 2), (encode_text("token", "Hello"), 3)]
    await streams.append(it.id, it.epoch, it.next, events)
    snapshot = await stands(streams, it.id)
    assert names_of(snapshot.events) == ["accepted", "started", "token", "restarted", "started", "thinking", "token"]
    assert [one.tokens for one in snapshot.events] == [0, 0, 1, 0, 0, 2, 3]
    assert seqs_of(snapshot.events) == list(range(7))
    assert [one.encoded for one in snapshot.events[3:]] == [encoded for encoded, _ in events]
