"""A log as one look at Redis gives it: how it stands, and the events after one that the reader has."""

import re
from dataclasses import dataclass
from typing import Any

from contracts.errors import LogMissing
from contracts.generation import is_terminal
from contracts.ports.streams import LogEvent
from infra.redis.connection import Connection
from infra.redis.keys import events_of, log_of
from infra.redis.wire import Command

PAGE = 1000
"""Events read at once."""

_ID = re.compile(r"[1-9][0-9]{0,15}-(?:0|[1-9][0-9]{0,8})", re.ASCII)
_FIELDS = ("state", "last_id", "lease", "attempt")


@dataclass(frozen=True)
class Standing:
    """`unleased`: seconds since a lease ended, or nobody ever held one; negative while one lives."""

    state: str
    last_id: str
    unleased: float
    attempt: int


@dataclass(frozen=True)
class Look:
    """`held`: the log holds the event that the reader has last (true when it has none); else `events` are not a continuation.

    `more`: there may be more than this page.
    """

    standing: Standing
    held: bool
    events: tuple[LogEvent, ...]
    more: bool


def standing_command(generation_id: str) -> Command:
    """What `standing_from` reads."""
    return ("HMGET", log_of(generation_id), *_FIELDS)


def standing_from(reply: list[bytes | None], time: list[bytes]) -> Standing | None:
    """How a log stands, of that command's reply and Redis' TIME; None where there is none, or it was aborted."""
    state, last_id, lease, attempt = reply
    if state is None or last_id is None or state == b"aborted":
        return None
    unleased = int(time[0]) + int(time[1]) / 1e6 - float(lease or 0) / 1000
    return Standing(state.decode(), last_id.decode(), unleased, int(attempt or 0))


async def look(connection: Connection, generation_id: str, after: str | None) -> Look:
    """The log after the event of that id; None, or an id that no log can hold: from its start. Raises LogMissing."""
    known = after is not None and _ID.fullmatch(after) is not None
    first = after if known and after is not None else "-"
    stands, time, entries = await connection.each(
        standing_command(generation_id), ("TIME",),
        ("XRANGE", events_of(generation_id), first, "+", "COUNT", PAGE + 1),
    )  # fmt: skip
    standing = standing_from(stands, time)
    if standing is None:
        raise LogMissing(f"There is no log of generation {generation_id}.")
    events = tuple(event_of(one) for one in entries)
    held = after is None or (known and bool(events) and events[0].id == after)
    if held and after is not None and not is_terminal(events[0].encoded):  # the end is given again
        events = events[1:]
    return Look(standing, held, events, len(entries) > PAGE)


def event_of(entry: list[Any]) -> LogEvent:
    """An entry of the stream: its id, then the fields `e` and `n` with their values."""
    event_id, (_, encoded, _, tokens) = entry
    return LogEvent(event_id.decode(), encoded, int(tokens))
