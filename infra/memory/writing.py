"""The workers' and history's side of the logs in memory."""

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime

from contracts.events import Outcome, terminal_event
from contracts.generation import MAX_TEXT_BYTES, Started, decode, encode, encode_text, name_of
from contracts.ports.streams import (
    Answer,
    Appended,
    Cancel,
    Closed,
    Gap,
    GenerationWriting,
    Held,
    Renewed,
    Run,
    Sealed,
)
from contracts.shown import mending
from infra.memory.log import CLOSED_FOR, RECORDED_FOR, Log, Logs

CONTROL_WORDS = 1000
"""Words waiting for one worker; more are dropped, for the flag in the log says the same."""

FRAME_BYTES = len(encode_text("token", ""))
"""What an event's encoding adds to its text."""


class MemoryGenerationWriting(GenerationWriting):
    """Writing to the process's own logs."""

    logs: Logs

    async def claim(self, generation_id: str, worker: str) -> Run | Held | Sealed | Answer:
        log = self.logs.get(generation_id)
        if log is None:
            return Answer.NOLOG
        if log.state in ("closed", "aborted"):
            return Answer.CLOSED if log.state == "closed" else Answer.ABORTED
        if log.state == "sealed" and log.outcome is not None:
            return Sealed(log.outcome)
        if log.owner is not None and log.owner != worker and log.owner in self.logs.workers and log.leased():
            return Held(log.owner, max(1, int((log.lease - time.monotonic()) * 1000)))
        if log.attempt == 0 and datetime.now(UTC) > log.starts_before:
            return Answer.EXPIRED
        log.new_epoch()
        log.state, log.owner, log.attempt = "running", worker, log.attempt + 1
        log.lease = time.monotonic() + self.logs.lease
        return Run(log.epoch, log.next, log.attempt, log.cancel, shown=log.text_bytes > 0)

    async def append(
        self, generation_id: str, epoch: int, expected: int, events: Sequence[tuple[bytes, int]]
    ) -> Appended | Gap | Answer:
        log = self.logs.get(generation_id)
        if log is None or log.epoch != epoch:
            return Answer.NOLOG if log is None else Answer.FENCED
        if log.state != "running":
            return Answer.CLOSED
        if expected > log.next:
            return Gap(log.next)
        fresh = events[log.next - expected :]
        if not _fits(log.text_bytes, [encoded for encoded, _ in fresh]):
            return Answer.TOO_BIG
        for encoded, tokens in fresh:
            _note(log, encoded)
            log.add(encoded, tokens)
        return Appended(log.next, log.cancel)

    async def renew(self, generation_id: str, epoch: int) -> Renewed | Answer:
        log = self.logs.get(generation_id)
        if log is None or log.epoch != epoch:
            return Answer.NOLOG if log is None else Answer.FENCED
        log.lease = time.monotonic() + self.logs.lease
        return Renewed(log.cancel)

    async def release(self, generation_id: str, epoch: int) -> Answer:
        log = self.logs.get(generation_id)
        if log is None or log.epoch != epoch:
            return Answer.NOLOG if log is None else Answer.FENCED
        log.owner, log.lease = None, time.monotonic()
        if log.state == "running":
            log.state = "accepted"
        return Answer.OK

    async def seal(
        self, generation_id: str, epoch: int | None, expected: int, outcome: Outcome
    ) -> Gap | Sealed | Answer:
        log = self.logs.get(generation_id)
        if log is None:
            return Answer.NOLOG
        if epoch is not None and epoch != log.epoch:
            return Answer.FENCED
        if log.state in ("aborted", "closed"):
            return Answer.ABORTED if log.state == "aborted" else Answer.CLOSED
        if log.outcome is not None:
            return Answer.OK if epoch is not None else Sealed(log.outcome)
        if expected != log.next:
            return Gap(log.next)
        if log.cancel and outcome.kind != "cancelled":
            return Answer.CANCELLED
        if epoch is None:
            log.new_epoch()
        log.state, log.outcome = "sealed", outcome
        return Answer.OK

    async def close(self, generation_id: str, epoch: int) -> Closed | Answer:
        log = self.logs.get(generation_id)
        if log is None or log.epoch != epoch:
            return Answer.NOLOG if log is None else Answer.FENCED
        if log.state == "closed" and log.last_id is not None:
            return Closed(log.last_id)
        if log.state != "sealed" or log.outcome is None:
            return Answer.NOT_SEALED
        return Closed(_end(log, log.outcome, CLOSED_FOR))

    async def recorded(self, generation_id: str, outcome: Outcome) -> Closed | Answer:
        log = self.logs.get(generation_id)
        if log is None:
            return Answer.NOLOG
        if log.state == "closed" and log.last_id is not None:
            log.expires = time.time() + RECORDED_FOR
            return Closed(log.last_id)
        log.new_epoch()
        log.outcome = outcome
        for encoded in mending(log.shown(), outcome):
            log.add(encoded)
        return Closed(_end(log, outcome, RECORDED_FOR))

    @asynccontextmanager
    async def control(self, worker: str) -> AsyncGenerator[AsyncIterator[Cancel], None]:
        words: asyncio.Queue[Cancel] = asyncio.Queue(CONTROL_WORDS)
        self.logs.workers[worker] = words
        try:
            yield _words(words)
        finally:
            if self.logs.workers.get(worker) is words:
                del self.logs.workers[worker]


async def _words(words: asyncio.Queue[Cancel]) -> AsyncGenerator[Cancel, None]:
    while True:
        yield await words.get()


def _text_bytes(encoded: bytes) -> int:
    return len(encoded) - FRAME_BYTES if name_of(encoded) in ("token", "thinking", "tool_call") else 0


def _fits(size: int, events: Sequence[bytes]) -> bool:
    """Whether the text stays below its limit; `restarted` makes room."""
    for encoded in events:
        size = 0 if name_of(encoded) == "restarted" else size + _text_bytes(encoded)
        if size > MAX_TEXT_BYTES:
            return False
    return True


def _note(log: Log, encoded: bytes) -> None:
    """What a claim and a reader of the log want to know without reading it."""
    if name_of(encoded) == "restarted":
        log.text_bytes = 0
    elif name_of(encoded) == "started":
        started = decode(encoded)
        log.backend = started.backend if isinstance(started, Started) else None
    else:
        log.text_bytes += _text_bytes(encoded)


def _end(log: Log, outcome: Outcome, keep: float) -> str:
    log.state, log.owner = "closed", None
    log.expires = time.time() + keep
    return log.add(encode(terminal_event(outcome)))
