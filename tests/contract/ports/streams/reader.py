"""Somebody who follows a generation whatever happens to its log, as a good client over an edge does."""

import asyncio
from collections.abc import Callable
from contextlib import aclosing, suppress

from contracts.errors import LogMissing
from contracts.events import Outcome, terminal_event
from contracts.generation import encode, encode_text, is_terminal, name_of
from contracts.ports.streams import GenerationStreams, LogEvent
from contracts.shown import shown
from tests.eventually import eventually


class Reader:
    """`said`: the one text of every id, for all readers together. `recorded`: what the store holds, where there is no log to follow."""

    def __init__(
        self,
        streams: GenerationStreams,
        generation_id: str,
        said: dict[str, bytes],
        recorded: Callable[[], Outcome | None],
    ) -> None:
        self._streams = streams
        self._generation_id = generation_id
        self._said = said
        self._recorded = recorded
        self._last: str | None = None
        self._seq = -1
        self._reading: asyncio.Task[None] | None = None
        self.valid: list[bytes] = []
        self.end: bytes | None = None

    @property
    def text(self) -> str:
        """On the screen."""
        return shown(self.valid).text

    def come(self) -> None:
        """Follow, from where it left."""
        if self._reading is None:
            self._reading = asyncio.create_task(self._read())

    async def leave(self) -> None:
        """The connection is gone."""
        if self._reading is not None:
            self._reading.cancel()
            with suppress(asyncio.CancelledError):
                await self._reading
            self._reading = None

    async def finish(self) -> None:
        """Follow to the end."""
        self.come()
        assert self._reading is not None
        await asyncio.wait_for(self._reading, 20)

    async def _read(self) -> None:
        while self.end is None:
            try:
                async with aclosing(self._streams.follow(self._generation_id, self._last)) as batches:  # pyright: ignore[reportArgumentType]
                    async for batch in batches:
                        for event in batch.events:
                            self._take(event)
            except LogMissing:
                await eventually(self._without_log, seconds=20)

    async def _without_log(self) -> bool:
        """The store's reply in place of everything; or the log is there again."""
        outcome = self._recorded()
        if outcome is not None:
            self.valid = [encode_text("token", outcome.text)] if outcome.text else []
            self.end = encode(terminal_event(outcome))
        return outcome is not None or await self._streams.head(self._generation_id) is not None

    def _take(self, event: LogEvent) -> None:
        assert self.end is None, "something came after the end"
        name = name_of(event.encoded)
        if event.id is None:
            assert name == "restarted"
            self._seq, self.valid = -1, []
            return
        assert self._said.setdefault(event.id, event.encoded) == event.encoded, f"{event.id} has two texts"
        seq = int(event.id.partition("-")[2])
        assert seq == self._seq + 1, f"{event.id} came after seq {self._seq}"
        self._seq, self._last = seq, event.id
        if name == "restarted":
            self.valid = []
        elif is_terminal(event.encoded):
            self.end = event.encoded
        elif name in ("token", "thinking", "tool_call"):
            self.valid.append(event.encoded)
