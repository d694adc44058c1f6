"""The writer: one order, whatever the log answers."""

import asyncio
from collections.abc import Sequence

from hypothesis import given, settings
from hypothesis import strategies as st

from contracts.errors import Unavailable
from contracts.generation import Started, Token, decode
from contracts.ports.streams import Answer, Appended, Gap
from infra.memory.streams import MemoryGenerationStreams
from workers.inference.claim import Claim
from workers.inference.writer import Writer


class Log(MemoryGenerationStreams):
    """Takes what is appended at `next`. `moods`: what it does first: lose the call, lose the answer, or forget its tail."""

    def __init__(self, moods: Sequence[str] = ()) -> None:
        super().__init__()
        self.moods = list(moods)
        self.kept: list[bytes] = []
        self.batches: list[int] = []
        self.gate = asyncio.Event()
        self.gate.set()

    async def append(
        self, generation_id: str, epoch: int, expected: int, events: Sequence[tuple[bytes, int]]
    ) -> Appended | Gap | Answer:
        await self.gate.wait()
        mood = self.moods.pop(0) if self.moods else "well"
        if mood == "call lost":
            raise Unavailable("Nobody answers.")
        if mood == "tail lost":
            del self.kept[len(self.kept) // 2 :]
        if expected > len(self.kept):
            return Gap(len(self.kept))
        fresh = [encoded for encoded, _ in events[len(self.kept) - expected :]]
        self.kept += fresh
        self.batches.append(len(fresh))
        if mood == "answer lost":
            raise Unavailable("Nobody answers.")
        return Appended(len(self.kept), cancel=False)

    @property
    def text(self) -> str:
        events = [decode(one) for one in self.kept]
        return "".join(one.text for one in events if isinstance(one, Token))


def claim() -> Claim:
    return Claim("generation", epoch=1, attempt=1, clean=True)


async def test_what_arrives_while_an_append_is_in_flight_goes_together_in_the_next() -> None:
    log = Log()
    log.gate.clear()
    writer = Writer(log, claim(), 0)
    writer.add_text("token", "a", 1)
    await asyncio.sleep(0)  # the first append is in flight now
    for piece in "bcdef":
        writer.add_text("token", piece, 1)
    log.gate.set()
    await writer.flush()
    assert log.batches == [1, 1]
    assert log.text == "abcdef"


async def test_events_of_one_moment_are_appended_at_once() -> None:
    log, started = Log(), Started(attempt=1, model="small", backend="one")
    writer = Writer(log, claim(), 0)
    writer.add(started)
    writer.add_text("thinking", "Hm.", 1)
    writer.add_text("token", "Yes.", 1)
    await writer.flush()
    assert log.batches == [3]
    assert writer.next == 3


async def test_a_log_that_lost_what_others_wrote_is_claimed_again() -> None:
    log, mine = Log(), claim()
    writer = Writer(log, mine, first=5)
    writer.add_text("token", "a", 1)
    await writer.flush()
    assert mine.fenced
    assert not mine.clean


@given(
    pieces=st.lists(st.text("abc", min_size=1, max_size=3), min_size=1, max_size=20),
    moods=st.lists(st.sampled_from(["well", "call lost", "answer lost", "tail lost"]), max_size=5),
    turns=st.lists(st.booleans(), max_size=20),
)
@settings(max_examples=40, deadline=None)
def test_whatever_is_lost_on_the_way_the_text_stands_once_and_whole(
    pieces: list[str], moods: list[str], turns: list[bool]
) -> None:
    async def write() -> None:
        log, mine = Log(moods), claim()
        writer = Writer(log, mine, 0)
        for number, piece in enumerate(pieces):
            writer.add_text("token", piece, 1)
            if number < len(turns) and turns[number]:
                await asyncio.sleep(0)
        await writer.flush()
        assert log.text == "".join(pieces)
        assert len(log.kept) == writer.next
        assert mine.clean or moods

    asyncio.run(write())
