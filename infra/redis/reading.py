"""The followers' side of the logs in Redis."""

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import replace
from typing import Any

from contracts.commands import Question
from contracts.events import decode_outcome
from contracts.ports.streams import Batch, GenerationReading, Snapshot
from contracts.shown import shown
from infra.redis.admission import STATES
from infra.redis.connection import Connection
from infra.redis.followers import Followers
from infra.redis.keys import OPEN_EXTRA_MS, events_of, log_of, open_of
from infra.redis.logs import event_of
from infra.redis.wire import Command

_FIELDS = ("state", "question", "attempt", "kind", "backend", "cancel", "outcome", "owner", "lease")

TOGETHER = 50
"""Logs read in one pipeline; each holds up to 1 MiB of text."""


class RedisGenerationReading(GenerationReading):
    """Reading the shared logs."""

    connection: Connection
    followers: Followers

    async def follow(self, generation_id: str, after: str | None = None) -> AsyncGenerator[Batch, None]:
        async with (
            self.followers.joined(generation_id, after) as follower,
            aclosing(follower.batches()) as batches,
        ):
            async for batch in batches:
                yield batch

    async def open(self, owner: str) -> Sequence[Question]:
        time, flat = await self.connection.each(("TIME",), ("HGETALL", open_of(owner)))
        now = int(time[0]) * 1000
        entries = dict(zip(flat[::2], flat[1::2], strict=True))
        old = [one for one, entry in entries.items() if int(entry.split(b" ", 1)[0]) + OPEN_EXTRA_MS < now]
        if old:
            await self.connection.call("HDEL", open_of(owner), *old)
        fresh = (entry for one, entry in entries.items() if one not in old)
        return [Question.model_validate_json(entry.split(b"\n", 1)[1]) for entry in fresh]

    async def head(self, generation_id: str) -> Snapshot | None:
        fields = (*_FIELDS, "last_id", "next")
        time, values = await self.connection.each(("TIME",), ("HMGET", log_of(generation_id), *fields))
        log: dict[str, bytes | None] = dict(zip(fields, values, strict=True))
        head = _head(log, _milliseconds(time))
        return head and replace(head, last_id=_text(log["last_id"]), next=int(log["next"] or 0))

    async def read(self, generation_ids: Sequence[str]) -> Sequence[Snapshot | None]:
        found: list[Snapshot | None] = []
        for start in range(0, len(generation_ids), TOGETHER):
            time, *replies = await self.connection.each(
                ("TIME",), *(command for one in generation_ids[start : start + TOGETHER] for command in _looks(one))
            )
            now = _milliseconds(time)
            for fields, entries in zip(replies[::2], replies[1::2], strict=True):
                found.append(_snapshot(dict(zip(_FIELDS, fields, strict=True)), entries, now))
        return found


def _looks(generation_id: str) -> tuple[Command, Command]:
    """The hash first: what comes meanwhile is seen in the entries."""
    return ("HMGET", log_of(generation_id), *_FIELDS), ("XRANGE", events_of(generation_id), "-", "+")


def _snapshot(log: dict[str, bytes | None], entries: list[Any], now_ms: int) -> Snapshot | None:
    """`next` and `last_id` are those of the entries, which may be newer than the hash: the text must be exactly what they say."""
    head = _head(log, now_ms)
    if head is None or head.state == "aborted" or not entries:
        return None
    now = shown(fields[1] for _, fields in entries)
    return replace(
        head, text=now.text, thinking=now.thinking, tool_calls=now.tool_calls, last_id=_text(entries[-1][0]),
        next=len(entries), events=tuple(event_of(one) for one in entries),
    )  # fmt: skip


def _head(log: dict[str, bytes | None], now_ms: int) -> Snapshot | None:
    state, question, outcome = log["state"], log["question"], log["outcome"]
    if state is None or question is None:
        return None
    return Snapshot(
        question=Question.model_validate_json(question),
        state=STATES[state],
        attempt=int(log["attempt"] or 0),
        kind=_text(log["kind"]),
        backend=_text(log["backend"]),
        cancel=log["cancel"] == b"1",
        outcome=None if outcome is None else decode_outcome(outcome),
        leased=bool(log["owner"]) and float(log["lease"] or 0) > now_ms,
    )


def _text(value: bytes | None) -> str | None:
    return None if value is None else value.decode()


def _milliseconds(time: list[bytes]) -> int:
    """Redis' TIME: seconds and microseconds."""
    return int(time[0]) * 1000 + int(time[1]) // 1000
