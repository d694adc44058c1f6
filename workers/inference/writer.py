"""Writes a run's events to the log, in order, coalescing what comes while an append is in flight."""

import asyncio
from contextlib import suppress
from dataclasses import dataclass
from typing import Literal

import structlog

from contracts.errors import Unavailable
from contracts.generation import GenerationEvent, encode, encode_text
from contracts.ports.streams import Answer, Appended, Gap, GenerationWriting
from workers.inference import metrics
from workers.inference.claim import FIRST_PAUSE, LONGEST_PAUSE, Claim
from workers.inference.restoring import Before

log = structlog.get_logger()

BATCH = 128
"""Events in one append."""
PIECE = 16 * 1024
"""Characters that one event holds at most, so that what waited out an outage still comes in digestible frames."""

TextKind = Literal["token", "thinking"]


@dataclass
class _Waiting:
    """Text that has no seq yet: more of its kind may join it."""

    kind: TextKind
    parts: list[str]
    size: int
    tokens: int


class Writer:
    """The events of one claim from seq `first` on; all are kept until the end, so that a gap can be filled again, and a lost
    log be written anew behind what stood `before`.

    Nothing waits for a window: an event is appended at once, and what arrives while that append is in flight goes
    together in the next one. Memory is bounded by the text of the log and of the run (1 MiB each).
    """

    def __init__(self, streams: GenerationWriting, claim: Claim, first: int, before: Before | None = None) -> None:
        self.before = before
        """None: not known, a lost log stays lost."""
        self._streams = streams
        self._claim = claim
        self._claim.restores = self._start
        self._first = first
        self._written: list[tuple[bytes, int]] = []
        self._waiting: list[_Waiting | bytes] = []
        self._acknowledged = first
        self._appending: asyncio.Task[None] | None = None

    @property
    def next(self) -> int:
        """The seq that the next event gets."""
        return self._first + len(self._written)

    def add(self, event: GenerationEvent) -> None:
        """One event of its own."""
        self._waiting.append(encode(event))
        self._start()

    def add_text(self, kind: TextKind, text: str, tokens: int) -> None:
        """A piece of text; joined to the one before while that still waits."""
        last = self._waiting[-1] if self._waiting else None
        if isinstance(last, _Waiting) and last.kind == kind and last.size + len(text) <= PIECE:
            last.parts.append(text)
            last.size += len(text)
            last.tokens += tokens
        else:
            self._waiting.append(_Waiting(kind, [text], len(text), tokens))
        self._start()

    def rewind(self, seq: int) -> None:
        """The log expects `seq`: append again from there, under the same ids."""
        self._claim.clean = False
        if not self._first <= seq <= self.next:
            # it lost, or has, what others wrote: not this claim's to mend. The next claim reads it as it is, as it would had the
            # log come back with an older epoch, which is how such a loss shows first
            log.warning("log_differs", expected=seq, first=self._first, next=self.next)
            self._claim.fence()
        else:
            self._acknowledged = seq
            self._start()

    async def flush(self) -> None:
        """Wait until everything stands in the log, or the claim is no longer writable."""
        while self._appending is not None:
            await asyncio.shield(self._appending)

    async def stop(self) -> None:
        """Append nothing more."""
        if self._appending is not None:
            self._appending.cancel()
            with suppress(asyncio.CancelledError, Exception):
                await self._appending

    def _start(self) -> None:
        if self._appending is None and self._claim.writable:
            self._appending = asyncio.create_task(self._append_all())

    async def _append_all(self) -> None:
        pause = FIRST_PAUSE
        try:
            while self._claim.writable and (self._claim.missing or self._batch()):
                try:
                    await (self._restore() if self._claim.missing else self._append(self._batch()))
                    pause = FIRST_PAUSE
                except Unavailable as error:
                    self._claim.disconnected()
                    log.warning("log_not_written", why=str(error), retry_in_s=pause)
                    await asyncio.sleep(pause)
                    pause = min(pause * 2, LONGEST_PAUSE)
        finally:
            self._appending = None

    def _batch(self) -> list[tuple[bytes, int]]:
        """What comes next: what has a seq already and was not acknowledged, else what waits."""
        start = self._acknowledged - self._first
        if start >= len(self._written):
            taken, self._waiting = self._waiting[:BATCH], self._waiting[BATCH:]
            self._written += [_encoded(one) for one in taken]
        return self._written[start : start + BATCH]

    async def _restore(self) -> None:
        """Write the lost log again, up to what it had acknowledged; the rest is appended behind it."""
        claim = self._claim
        if self.before is None:
            log.warning("log_lost")
            claim.lose_log()
            return
        own = self._written[: self._acknowledged - self._first]
        answer = await self._streams.restore(self.before.lost_log(claim, own))
        claim.missing = False
        if answer is Answer.OK:
            metrics.RESTORED.inc()
            log.warning("log_restored", events=self._acknowledged)
        else:
            log.warning("log_not_restored", why=str(answer))
            claim.fence()

    async def _append(self, batch: list[tuple[bytes, int]]) -> None:
        claim = self._claim
        answer = await self._streams.append(claim.generation_id, claim.epoch, self._acknowledged, batch)
        if isinstance(answer, Appended):
            self._acknowledged += len(batch)
            claim.note(answer)
        elif isinstance(answer, Gap):
            self.rewind(answer.next)
        elif answer is Answer.TOO_BIG:
            log.warning("log_full")  # history puts the recorded text in its place
            claim.lose_log()
        else:
            claim.note(answer)


def _encoded(one: _Waiting | bytes) -> tuple[bytes, int]:
    return (one, 0) if isinstance(one, bytes) else (encode_text(one.kind, "".join(one.parts)), one.tokens)
