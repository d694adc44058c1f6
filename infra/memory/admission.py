"""The edge's side of the logs in memory."""

import math
import time
from datetime import datetime

from contracts.commands import Lane, Question
from contracts.events import Outcome, accepted
from contracts.generation import encode
from contracts.ports.lines import PoolLane
from contracts.ports.streams import (
    Admitted,
    Answer,
    Cancel,
    ClosedAs,
    Created,
    Exists,
    Flagged,
    GenerationAdmission,
    IdempotencyKey,
    Limited,
    ReplyOpen,
    Same,
    Sealed,
)
from infra.memory.keys import Keys
from infra.memory.lines import Lines, leave_line
from infra.memory.log import OPEN_EXTRA, Entry, Log, Logs
from infra.memory.sweeping import Notes

FAIR = 2
"""Generations that a person may have alive before the next ones go by the bulk lane."""


class MemoryGenerationAdmission(GenerationAdmission):
    """Admission over the process's own logs."""

    logs: Logs
    lines: Lines
    keys: Keys
    notes: Notes

    async def admit(
        self,
        question: Question,
        *,
        explicit_parent: bool,
        deadline: datetime,
        key: IdempotencyKey | None = None,
        cap: int = 20,
        batch: bool = False,
    ) -> Admitted | Same | ReplyOpen | Limited | Answer:
        self.logs.sweep()
        self.logs.trim(question.owner)
        refused = self._known(question, key) or self._in_the_way(question, explicit_parent, cap)
        if refused is not None:
            return refused
        lane = _lane(len(self.logs.live.get(question.owner, ())), batch)
        self.notes.note(question.owner, question.generation_id, deadline)
        self.logs.enter(Entry(question, deadline, key and key.value))
        if key is not None:
            self.keys.keep(question.owner, key, question.generation_id)
        return Admitted(lane)

    def _known(self, question: Question, key: IdempotencyKey | None) -> Same | Answer | None:
        named = None if key is None else self.keys.named(question.owner, key)
        if named is None and question.generation_id in self.logs.open.get(question.owner, {}):
            return Same(question.generation_id)
        return named

    def _in_the_way(self, question: Question, explicit_parent: bool, cap: int) -> ReplyOpen | Limited | None:
        live = self.logs.live.get(question.owner, {})
        entries = self.logs.open.get(question.owner, {})
        for other in live:
            if _same_branch(entries[other].question, question, explicit_parent):
                return ReplyOpen(other)
        if len(live) < cap:
            return None
        first = min((end.timestamp() for end in live.values()), default=0.0)
        return Limited(max(1, math.ceil((first - time.time()) * 1000)))

    async def repeated(self, owner: str, key: IdempotencyKey) -> Same | Answer | None:
        return self.keys.named(owner, key)

    async def create(
        self, question: Question, *, starts_before: datetime, deadline: datetime, lane: PoolLane | None = None
    ) -> Created | Exists:
        existing = self.logs.get(question.generation_id)
        if existing is not None:
            return Exists(existing.state)
        log = Log(question, starts_before, deadline, expires=deadline.timestamp() + OPEN_EXTRA, lane=lane)
        log.born = log.new_epoch()
        log.add(encode(accepted(question)))
        self.logs.by_id[question.generation_id] = log
        if lane is not None:
            self.lines.enter(lane, question.generation_id)
        return Created(log.epoch)

    async def confirm(self, generation_id: str) -> Answer:
        log = self.logs.get(generation_id)
        if log is None:
            return Answer.NOLOG
        if log.state == "admitted":
            log.state = "accepted"
        return Answer.ABORTED if log.state == "aborted" else Answer.OK

    async def abort(self, generation_id: str) -> Answer:
        log = self.logs.get(generation_id)
        if log is None or log.state == "aborted":
            return Answer.OK
        if log.state == "admitted":
            log.state = "aborted"
            log.wake()
            leave_line(self.lines, log.lane, generation_id)
            return Answer.OK
        return {"accepted": Answer.ACCEPTED, "running": Answer.RUNNING}.get(log.state, Answer.CLOSED)

    async def drop(self, owner: str, generation_id: str) -> None:
        entry = self.logs.forget(owner, generation_id)
        if entry is not None and entry.key is not None:
            self.keys.forget(owner, entry.key, generation_id)
        self.notes.forget(owner, generation_id)

    async def leave(self, owner: str, generation_id: str) -> None:
        self.logs.forget(owner, generation_id)

    async def settle(self, owner: str, generation_id: str) -> None:
        self.logs.settle(owner, generation_id)

    async def cancel(self, owner: str, generation_id: str, outcome: Outcome) -> Sealed | Flagged | ClosedAs | Answer:
        log = self.logs.get(generation_id)
        if log is None or log.question.owner != owner:
            return Answer.NOT_FOUND
        if log.state == "aborted":
            return Answer.ABORTED
        if log.outcome is not None:
            return ClosedAs(log.outcome.kind) if log.state == "closed" else Sealed(log.outcome)
        if log.owner is None and log.text_bytes == 0:
            log.new_epoch()
            log.state, log.outcome, log.lease = "sealed", outcome, time.monotonic()
            leave_line(self.lines, log.lane, generation_id)
            return Sealed(outcome)
        log.cancel = True
        control = self.logs.workers.get(log.owner or "")
        if control is not None and not control.full():  # full: the flag is seen at the next append
            control.put_nowait(Cancel(generation_id, log.epoch))
        return Flagged(log.owner)


def _lane(others: int, batch: bool) -> Lane:
    if batch:
        return "batch"
    return "interactive" if others < FAIR else "bulk"


def _same_branch(other: Question, question: Question, explicit_parent: bool) -> bool:
    if other.chat_id != question.chat_id:
        return False
    return not explicit_parent or question.parent_id in (other.reply_id, other.message_id)
