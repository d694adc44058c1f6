"""The edge's side of the logs in Redis."""

from datetime import datetime
from secrets import randbelow

from contracts.commands import Question
from contracts.events import Outcome, accepted, decode_outcome, terminal_event
from contracts.generation import encode
from contracts.ports.streams import (
    Admitted,
    Answer,
    ClosedAs,
    Created,
    Exists,
    Flagged,
    GenerationAdmission,
    ReplyOpen,
    Sealed,
    State,
)
from infra.redis.connection import Connection
from infra.redis.keys import OPEN_EXTRA_MS, events_of, live_of, log_of, open_of, running_of

CHANCE = 1024
"""Epochs of one millisecond."""

STATES: dict[bytes, State] = {
    one.encode(): one for one in ("admitted", "accepted", "running", "sealed", "closed", "aborted")
}


class RedisGenerationAdmission(GenerationAdmission):
    """Admission over the shared logs."""

    connection: Connection

    async def admit(self, question: Question, *, explicit_parent: bool, deadline: datetime) -> Admitted | ReplyOpen:
        owner = question.owner
        code, value = await self.connection.run(
            "admit", 2, open_of(owner), running_of(owner),
            question.generation_id, question.chat_id, question.parent_id or "", int(explicit_parent),
            milliseconds(deadline), entry_of(question, deadline), OPEN_EXTRA_MS,
        )  # fmt: skip
        return Admitted(value.decode()) if code == b"OK" else ReplyOpen(value.decode())

    async def create(self, question: Question, *, starts_before: datetime, deadline: datetime) -> Created | Exists:
        code, value = await self.connection.run(
            "create", 2, log_of(question.generation_id), events_of(question.generation_id),
            randbelow(CHANCE), question.owner, question.model_dump_json(), encode(accepted(question)),
            milliseconds(starts_before), milliseconds(deadline), OPEN_EXTRA_MS,
        )  # fmt: skip
        return Created(int(value)) if code == b"OK" else Exists(STATES[value])

    async def confirm(self, generation_id: str) -> Answer:
        return answer_of(await self.connection.run("confirm", 1, log_of(generation_id)))

    async def abort(self, generation_id: str) -> Answer:
        return answer_of(await self.connection.run("abort", 1, log_of(generation_id), live_of(generation_id)))

    async def drop(self, owner: str, generation_id: str) -> None:
        await self.connection.run("drop", 2, open_of(owner), running_of(owner), generation_id)

    async def settle(self, owner: str, generation_id: str) -> None:
        await self.connection.run("settle", 1, running_of(owner), generation_id)

    async def cancel(self, owner: str, generation_id: str, outcome: Outcome) -> Sealed | Flagged | ClosedAs | Answer:
        reply = await self.connection.run(
            "cancel", 1, log_of(generation_id), owner, generation_id, *payload_of(outcome), randbelow(CHANCE)
        )
        match reply:
            case [b"SEALED", payload]:
                return Sealed(decode_outcome(payload))
            case [b"FLAGGED", worker]:
                return Flagged(worker.decode() or None)
            case [b"CLOSED", kind]:
                return ClosedAs(kind.decode())
            case _:
                return answer_of(reply)


def answer_of(reply: list[bytes]) -> Answer:
    """An answer without values."""
    return Answer(reply[0].decode())


def payload_of(outcome: Outcome) -> tuple[str, str, bytes]:
    """What a sealed log keeps of it: kind, the outcome itself, and the last event that followers will see."""
    return outcome.kind, outcome.model_dump_json(), encode(terminal_event(outcome))


def milliseconds(moment: datetime) -> int:
    """Since the epoch."""
    return int(moment.timestamp() * 1000)


def entry_of(question: Question, deadline: datetime) -> str:
    """An open entry: what scripts look at in its first line, then the question."""
    head = f"{milliseconds(deadline)} {question.chat_id} {question.message_id} {question.reply_id}"
    return f"{head}\n{question.model_dump_json()}"
