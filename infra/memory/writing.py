"""The workers' and history's side of the logs in memory."""

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import asynccontextmanager

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
    LostLog,
    Renewed,
    Run,
    Sealed,
)
from contracts.shown import mending
from infra.memory.claiming import counted, turned_away
from infra.memory.lines import Lines, leave_line
from infra.memory.log import CLOSED_FOR, OPEN_EXTRA, RECORDED_FOR, Log, Logs

CONTROL_WORDS = 1000
"""Words waiting for one worker; more are dropped, for the flag in the log says the same."""

FRAME_BYTES = len(encode_text("token", ""))
"""What an event's encoding adds to its text."""
_SHOWN = ("token", "thinking", "tool_call")


class MemoryGenerationWriting(GenerationWriting):
    """Writing to the process's own logs."""

    logs: Logs
    lines: Lines

    async def claim(self, generation_id: str, worker: str, *, suspects: bool = True) -> Run | Held | Sealed | Answer:
        log = self.logs.get(generation_id)
        if log is None:
            return Answer.NOLOG
        answer = turned_away(log, worker, self.logs.workers) or counted(log, worker, suspects=suspects)
        if not isinstance(answer, Held):
            leave_line(self.lines, log.lane, generation_id)
        if answer is not None:
            return answer
        log.new_epoch()
        log.state, log.owner, log.attempt, log.spoke = "running", worker, log.attempt + 1, False
        log.lease = time.monotonic() + self.logs.lease
        shown = log.text_bytes > 0
        return Run(log.epoch, log.next, log.attempt, log.cancel, shown, deaths=log.deaths, born=log.born)

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

    async def restore(self, lost: LostLog) -> Answer:
        generation_id = lost.question.generation_id
        standing = self.logs.get(generation_id)
        if standing is not None:
            same = standing.state == "running" and standing.epoch == lost.epoch
            return Answer.OK if same else Answer.EXISTS
        expires = lost.deadline.timestamp() + OPEN_EXTRA
        log = Log(lost.question, lost.starts_before, lost.deadline, state="running", epoch=lost.epoch, expires=expires)
        log.owner, log.attempt, log.cancel = lost.worker, lost.attempt, lost.cancel
        log.lease = time.monotonic() + self.logs.lease
        log.born = int(str(lost.events[0].id).partition("-")[0])
        for event in lost.events:
            _note(log, event.encoded, own=str(event.id).startswith(f"{lost.epoch}-"))
        log.events, log.last_id = list(lost.events), lost.events[-1].id
        self.logs.by_id[generation_id] = log
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
            leave_line(self.lines, log.lane, generation_id)
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
    return len(encoded) - FRAME_BYTES if name_of(encoded) in _SHOWN else 0


def _fits(size: int, events: Sequence[bytes]) -> bool:
    """Whether the text stays below its limit; `restarted` makes room."""
    for encoded in events:
        size = 0 if name_of(encoded) == "restarted" else size + _text_bytes(encoded)
        if size > MAX_TEXT_BYTES:
            return False
    return True


def _note(log: Log, encoded: bytes, *, own: bool = True) -> None:
    """What a claim and a reader of the log want to know without reading it. `own`: under the log's epoch."""
    if name_of(encoded) == "restarted":
        log.text_bytes = 0
    elif name_of(encoded) == "started":
        started = decode(encoded)
        log.backend = started.backend if isinstance(started, Started) else None
    elif name_of(encoded) in _SHOWN:
        log.text_bytes += _text_bytes(encoded)
        log.spoke = log.spoke or own


def _end(log: Log, outcome: Outcome, keep: float) -> str:
    log.state, log.owner = "closed", None
    log.expires = time.time() + keep
    return log.add(encode(terminal_event(outcome)))
