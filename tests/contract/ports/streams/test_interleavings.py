"""Property: however appends, resends, takeovers and reads interleave, seqs are dense and the text is what was produced."""

import asyncio
from dataclasses import dataclass, field

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from contracts.ports.streams import Answer, Appended, Gap, GenerationStreams, LogEvent
from tests.contract.ports.streams.places import Place
from tests.contract.ports.streams.story import (
    Told,
    accepted,
    claimed,
    end,
    followed,
    restarted,
    seqs_of,
    stands,
    text_of,
    tokens,
)

APPEND, RESEND, AHEAD, LATE, TAKE, LOOK, JOIN = "append", "resend", "ahead", "late", "take", "look", "join"
steps = st.lists(
    st.one_of(
        st.tuples(st.just(APPEND), st.integers(1, 4)),
        st.tuples(st.just(RESEND), st.integers(1, 4)),
        st.tuples(st.sampled_from([AHEAD, LATE, TAKE, LOOK, JOIN]), st.just(1)),
    ),
    max_size=25,
)


@dataclass
class Writer:
    """A worker that keeps what it produced; `old` are epochs that were taken from it."""

    streams: GenerationStreams
    it: Told
    produced: str = ""
    written: list[tuple[bytes, int]] = field(default_factory=list)
    old: list[int] = field(default_factory=list)
    first: int = 0
    counted: int = 0

    async def append(self, number: int) -> None:
        """New tokens."""
        texts = [f"{self.counted + place}," for place in range(number)]
        self.counted += number
        self.produced += "".join(texts)
        self.written += tokens(*texts)
        await self._send(self.it.next, self.written[self.it.next - self.first :])

    async def resend(self, number: int) -> None:
        """The last ones again, as after a lost reply, and perhaps a new one with them."""
        await self._send(max(self.first, self.it.next - number), self.written[-number:] if self.written else [])

    async def _send(self, expected: int, events: list[tuple[bytes, int]]) -> None:
        answer = await self.streams.append(self.it.id, self.it.epoch, expected, events)
        assert answer == Appended(self.first + len(self.written), cancel=False)
        self.it = Told(self.it.question, self.it.epoch, answer.next)

    async def ahead(self) -> None:
        """An append whose predecessor was lost."""
        answer = await self.streams.append(self.it.id, self.it.epoch, self.it.next + 1, tokens("lost"))
        assert answer == Gap(self.it.next)

    async def late(self) -> None:
        """What earlier owners still send."""
        for epoch in self.old:
            assert await self.streams.append(self.it.id, epoch, self.it.next, tokens("late")) is Answer.FENCED

    async def take(self) -> None:
        """Another worker takes it over and begins again."""
        self.old.append(self.it.epoch)
        run = await claimed(self.streams, self.it.question, f"worker-{len(self.old)}")
        assert run.next == self.it.next
        self.it = Told(self.it.question, run.epoch, run.next)
        self.first, self.written, self.produced = run.next, [restarted(run.attempt), *tokens("again,")], "again,"
        await self._send(run.next, self.written)


@given(story=steps)
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
async def test_any_interleaving_gives_dense_seqs_and_the_text_that_was_produced(
    place: Place, streams: GenerationStreams, story: list[tuple[str, int]]
) -> None:
    asked = await accepted(streams)
    run = await claimed(streams, asked)
    writer = Writer(streams, Told(asked, run.epoch, run.next), first=run.next)
    async with place.process() as edge:
        readers = [asyncio.create_task(followed(edge, asked.generation_id))]
        for step, number in story:
            if step == JOIN:
                readers.append(asyncio.create_task(followed(edge, asked.generation_id)))
            elif step == LOOK:
                snapshot = await stands(edge, asked.generation_id)
                assert (snapshot.text, snapshot.next) == (writer.produced, writer.it.next)
            elif step in (APPEND, RESEND):
                await getattr(writer, step)(number)
            else:
                await getattr(writer, step)()
        await end(streams, writer.it)
        seen: list[list[LogEvent]] = await asyncio.gather(*readers)
    for events in seen:
        assert seqs_of(events) == list(range(writer.it.next + 1))
        assert text_of(events) == writer.produced
    middle = (len(seen[0]) - 1) // 2
    assert await followed(streams, asked.generation_id, seen[0][middle].id) == seen[0][middle + 1 :]
