"""The workers' and history's side of the logs in Redis."""

from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import asynccontextmanager
from secrets import randbelow
from typing import Any

from contracts.events import Outcome, decode_outcome
from contracts.generation import MAX_TEXT_BYTES, encode_text
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
from contracts.shown import mending, shown
from infra.redis.admission import CHANCE, answer_of, milliseconds, payload_of
from infra.redis.connection import Connection
from infra.redis.control import Words
from infra.redis.keys import CLOSED_FOR_MS, OPEN_EXTRA_MS, RECORDED_FOR_MS, control_of, events_of, live_of, log_of
from infra.redis.lines import leave_line
from infra.redis.subscriptions import Subscriptions

FRAME_BYTES = len(encode_text("token", ""))
"""What an event's encoding adds to its text."""
_WAIT_NO_MORE = (b"RUN", b"SEALED", b"ABORTED", b"EXPIRED", b"QUARANTINE")
"""Answers to a claim that end with the lane in whose line it stood."""


class RedisGenerationWriting(GenerationWriting):
    """Writing to the shared logs. `lease`: seconds that a claim holds without being renewed.

    `settled`: seconds that this process's own connections must have lasted before it believes that a worker without a
    control subscription is gone; after a restart of Redis everybody looks like that.
    """

    connection: Connection
    subscriptions: Subscriptions
    lease: float
    settled: float
    cluster: bool

    async def claim(self, generation_id: str, worker: str, *, suspects: bool = True) -> Run | Held | Sealed | Answer:
        reply = await self.connection.run(
            "claim", 2, log_of(generation_id), events_of(generation_id),
            worker, int(self._may_look()), randbelow(CHANCE), self._lease_ms(), int(suspects),
        )  # fmt: skip
        if reply[0] in _WAIT_NO_MORE:
            leave_line(self.connection, reply[-1], generation_id)
        match reply:
            case [b"RUN", epoch, seq, attempt, cancel, shown, deaths, born, _]:
                return Run(int(epoch), seq, attempt, bool(cancel), bool(shown), deaths, int(born))
            case [b"HELD", owner, ms]:
                return Held(owner.decode(), ms)
            case [b"SEALED", payload, _]:
                return Sealed(decode_outcome(payload))
            case _:
                return answer_of(reply)

    async def append(
        self, generation_id: str, epoch: int, expected: int, events: Sequence[tuple[bytes, int]]
    ) -> Appended | Gap | Answer:
        log = log_of(generation_id)
        flat = [value for event in events for value in event]
        reply = await self.connection.run(
            "append", 2, log, log + ":s", log + ":p", epoch, expected, MAX_TEXT_BYTES, FRAME_BYTES, *flat
        )
        if reply[0] == b"OK":
            return Appended(reply[1], bool(reply[2]))
        return _gap_or_answer(reply)

    async def renew(self, generation_id: str, epoch: int) -> Renewed | Answer:
        reply = await self.connection.run("renew", 1, log_of(generation_id), epoch, self._lease_ms())
        return Renewed(bool(reply[1])) if reply[0] == b"OK" else answer_of(reply)

    async def release(self, generation_id: str, epoch: int) -> Answer:
        return answer_of(await self.connection.run("release", 1, log_of(generation_id), epoch))

    async def restore(self, lost: LostLog) -> Answer:
        question = lost.question
        log = log_of(question.generation_id)
        lines = [b"%b %d %b" % (str(one.id).encode(), one.tokens, one.encoded) for one in lost.events]
        reply = await self.connection.run(
            "restore", 2, log, log + ":s", log + ":p", lost.epoch, lost.worker, lost.attempt, int(lost.cancel),
            self._lease_ms(), FRAME_BYTES, question.owner, question.model_dump_json(), milliseconds(lost.starts_before),
            milliseconds(lost.deadline), OPEN_EXTRA_MS, b"\n".join(lines),
        )  # fmt: skip
        return answer_of(reply)

    async def seal(
        self, generation_id: str, epoch: int | None, expected: int, outcome: Outcome
    ) -> Gap | Sealed | Answer:
        under = "-" if epoch is None else epoch
        reply = await self.connection.run(
            "seal", 1, log_of(generation_id), under, expected, *payload_of(outcome), randbelow(CHANCE)
        )
        if reply[0] in (b"OK", b"SEALED"):
            leave_line(self.connection, reply[-1], generation_id)
        return Sealed(decode_outcome(reply[1])) if reply[0] == b"SEALED" else _gap_or_answer(reply)

    async def close(self, generation_id: str, epoch: int) -> Closed | Answer:
        reply = await self.connection.run(
            "close", 2, log_of(generation_id), events_of(generation_id), live_of(generation_id), epoch, CLOSED_FOR_MS
        )
        return Closed(reply[1].decode()) if reply[0] in (b"OK", b"CLOSED") else answer_of(reply)

    async def recorded(self, generation_id: str, outcome: Outcome) -> Closed | Answer:
        seen: tuple[Any, ...] = ()
        while True:  # twice where the log is open: first whoever writes is fenced, then the text is mended
            reply = await self.connection.run(
                "recorded", 2, log_of(generation_id), events_of(generation_id), live_of(generation_id),
                randbelow(CHANCE), *payload_of(outcome), RECORDED_FOR_MS, *seen,
            )  # fmt: skip
            if reply[0] != b"LOOK":
                return Closed(reply[1].decode()) if reply[0] == b"CLOSED" else answer_of(reply)
            entries = await self.connection.call("XRANGE", events_of(generation_id), "-", "+")
            seen = (*reply[1:], *mending(shown(fields[1] for _, fields in entries), outcome))

    @asynccontextmanager
    async def control(self, worker: str) -> AsyncGenerator[AsyncIterator[Cancel], None]:
        words, channel = Words(), control_of(worker)
        try:
            await self.subscriptions.add(channel, words)
            yield words.heard()
        finally:
            await self.subscriptions.remove(channel, words)

    def _lease_ms(self) -> int:
        return max(1, round(self.lease * 1000))

    def _may_look(self) -> bool:
        return not self.cluster and min(self.connection.age, self.subscriptions.age) >= max(self.settled, 1e-6)


def _gap_or_answer(reply: list[Any]) -> Gap | Answer:
    return Gap(reply[1]) if reply[0] == b"GAP" else answer_of(reply)
