"""The edge's side of the logs in Redis."""

from datetime import datetime
from secrets import randbelow
from typing import Any

from contracts.commands import Question
from contracts.events import Outcome, accepted, decode_outcome, terminal_event
from contracts.generation import encode
from contracts.ports.lines import PoolLane
from contracts.ports.streams import (
    Admitted,
    Answer,
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
    State,
)
from infra.redis.connection import Connection
from infra.redis.keys import (
    KEY_FOR_MS,
    NOTED_FOR_MS,
    OPEN_EXTRA_MS,
    events_of,
    idempotency_of,
    live_of,
    log_of,
    name_of_key,
    note_of,
    open_of,
    running_of,
    sweep_of,
)
from infra.redis.lines import enter_line, field_of, leave_line

CHANCE = 1024
"""Epochs of one millisecond."""

STATES: dict[bytes, State] = {
    one.encode(): one for one in ("admitted", "accepted", "running", "sealed", "closed", "aborted")
}


class RedisGenerationAdmission(GenerationAdmission):
    """Admission over the shared logs."""

    connection: Connection

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
        owner, generation_id = question.owner, question.generation_id
        sweep, note, ends = sweep_of(generation_id), note_of(owner, generation_id), milliseconds(deadline)
        name = None if key is None else name_of_key(key.value)
        keys = (open_of(owner), running_of(owner), *(() if name is None else (idempotency_of(owner, name),)))
        reply = await self.connection.run(
            "admit", len(keys), *keys,
            generation_id, question.chat_id, question.parent_id or "", int(explicit_parent), ends,
            entry_of(question, ends, name), OPEN_EXTRA_MS, cap, int(batch),
            *(() if key is None else (key.sha, KEY_FOR_MS)),
            first=(("ZADD", sweep, "NX", ends, note), ("PEXPIRE", sweep, NOTED_FOR_MS)),
        )  # fmt: skip
        answer = _admitted(reply)
        if not isinstance(answer, Admitted) and answer != Same(generation_id):
            self.connection.tell("ZREM", sweep, note)
        return answer

    async def repeated(self, owner: str, key: IdempotencyKey) -> Same | Answer | None:
        kept = await self.connection.call("GET", idempotency_of(owner, name_of_key(key.value)))
        if kept is None:
            return None
        sha, generation_id = kept.decode().split(" ", 1)
        return Same(generation_id) if sha == key.sha else Answer.MISMATCH

    async def create(
        self, question: Question, *, starts_before: datetime, deadline: datetime, lane: PoolLane | None = None
    ) -> Created | Exists:
        generation_id, line = question.generation_id, field_of(lane)
        code, value = await self.connection.run(
            "create", 2, log_of(generation_id), events_of(generation_id),
            randbelow(CHANCE), question.owner, question.model_dump_json(), encode(accepted(question)),
            milliseconds(starts_before), milliseconds(deadline), OPEN_EXTRA_MS, line,
        )  # fmt: skip
        if code != b"OK":
            return Exists(STATES[value])
        enter_line(self.connection, line, generation_id, since_ms=int(value) // CHANCE)
        return Created(int(value))

    async def confirm(self, generation_id: str) -> Answer:
        return answer_of(await self.connection.run("confirm", 1, log_of(generation_id)))

    async def abort(self, generation_id: str) -> Answer:
        reply = await self.connection.run("abort", 1, log_of(generation_id), live_of(generation_id))
        if reply[0] == b"OK":
            leave_line(self.connection, reply[1], generation_id)
        return answer_of(reply)

    async def drop(self, owner: str, generation_id: str) -> None:
        await self.connection.run("drop", 2, open_of(owner), running_of(owner), generation_id, idempotency_of(owner))
        await self.connection.call("ZREM", sweep_of(generation_id), note_of(owner, generation_id))

    async def leave(self, owner: str, generation_id: str) -> None:
        await self.connection.run("leave", 2, open_of(owner), running_of(owner), generation_id)

    async def settle(self, owner: str, generation_id: str) -> None:
        await self.connection.run("settle", 1, running_of(owner), generation_id)

    async def cancel(self, owner: str, generation_id: str, outcome: Outcome) -> Sealed | Flagged | ClosedAs | Answer:
        reply = await self.connection.run(
            "cancel", 1, log_of(generation_id), owner, generation_id, *payload_of(outcome), randbelow(CHANCE)
        )
        match reply:
            case [b"SEALED", payload, line]:
                leave_line(self.connection, line, generation_id)
                return Sealed(decode_outcome(payload))
            case [b"FLAGGED", worker]:
                return Flagged(worker.decode() or None)
            case [b"CLOSED", kind]:
                return ClosedAs(kind.decode())
            case _:
                return answer_of(reply)


def _admitted(reply: list[Any]) -> Admitted | Same | ReplyOpen | Limited | Answer:
    match reply:
        case [b"OK", lane]:
            return Admitted(lane.decode())
        case [b"SAME", generation_id]:
            return Same(generation_id.decode())
        case [b"REPLY_OPEN", generation_id]:
            return ReplyOpen(generation_id.decode())
        case [b"LIMITED", ms]:
            return Limited(ms)
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


def entry_of(question: Question, deadline_ms: int, key: str | None) -> str:
    """An open entry: what scripts look at in its first line (the name of the key last, where there is one), then the question."""
    head = f"{deadline_ms} {question.chat_id} {question.message_id} {question.reply_id}"
    return f"{head if key is None else f'{head} {key}'}\n{question.model_dump_json()}"
