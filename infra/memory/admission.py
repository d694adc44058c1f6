"""The edge's side of the logs in memory."""

import time
from datetime import datetime

from contracts.commands import Question
from contracts.events import Outcome, accepted
from contracts.generation import encode
from contracts.ports.streams import (
    Admitted,
    Answer,
    Cancel,
    ClosedAs,
    Created,
    Exists,
    Flagged,
    GenerationAdmission,
    ReplyOpen,
    Sealed,
)
from infra.memory.log import OPEN_EXTRA, Log, Logs

LANE = "interactive"


class MemoryGenerationAdmission(GenerationAdmission):
    """Admission over the process's own logs."""

    logs: Logs

    async def admit(self, question: Question, *, explicit_parent: bool, deadline: datetime) -> Admitted | ReplyOpen:
        self.logs.sweep()
        live = self.logs.live.get(question.owner, set()) - {question.generation_id}
        for other in self.logs.entries(question.owner):
            if other.generation_id in live and _same_branch(other, question, explicit_parent):
                return ReplyOpen(other.generation_id)
        self.logs.open.setdefault(question.owner, {})[question.generation_id] = (question, deadline)
        self.logs.live.setdefault(question.owner, set()).add(question.generation_id)
        return Admitted(LANE)

    async def create(self, question: Question, *, starts_before: datetime, deadline: datetime) -> Created | Exists:
        existing = self.logs.get(question.generation_id)
        if existing is not None:
            return Exists(existing.state)
        log = Log(question, starts_before, deadline, expires=deadline.timestamp() + OPEN_EXTRA)
        log.new_epoch()
        log.add(encode(accepted(question)))
        self.logs.by_id[question.generation_id] = log
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
            return Answer.OK
        return {"accepted": Answer.ACCEPTED, "running": Answer.RUNNING}.get(log.state, Answer.CLOSED)

    async def drop(self, owner: str, generation_id: str) -> None:
        self.logs.forget(owner, generation_id)

    async def settle(self, owner: str, generation_id: str) -> None:
        self.logs.live.get(owner, set()).discard(generation_id)

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
            return Sealed(outcome)
        log.cancel = True
        control = self.logs.workers.get(log.owner or "")
        if control is not None and not control.full():  # full: the flag is seen at the next append
            control.put_nowait(Cancel(generation_id, log.epoch))
        return Flagged(log.owner)


def _same_branch(other: Question, question: Question, explicit_parent: bool) -> bool:
    if other.chat_id != question.chat_id:
        return False
    return not explicit_parent or question.parent_id in (other.reply_id, other.message_id)
