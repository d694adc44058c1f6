"""The rows of the SQLite bus: how a message is put, taken, given back, buried. Each function is one transaction's work."""

import sqlite3
import time
from collections.abc import Sequence

from pydantic_core import from_json

from contracts.envelope import Envelope, attributes_of
from contracts.errors import Overloaded
from contracts.ports.bus import DeadMessage
from contracts.topology import DEAD, Queue
from infra.sqlite.consuming import Taken
from infra.sqlite.times import moment

_DIES = (
    "UPDATE bus_messages SET queue = ?, died_in = queue, died_of = ?, died_at = ?, died_after = deliveries, why_dead = ?,"
    " deliveries = 0, taken = 0, expires_at = NULL"
)


def put(
    connection: sqlite3.Connection, queues: Sequence[Queue], envelope: Envelope, body: bytes, expires_at: int | None
) -> None:
    """A copy for each queue, or none at all when one is full. `expires_at`: milliseconds since the epoch."""
    for queue in queues:
        ready = connection.execute(
            "SELECT count(*) FROM (SELECT 1 FROM bus_messages WHERE queue = ? AND taken = 0 LIMIT ?)",
            (queue.name, queue.max_length),
        ).fetchone()[0]
        if ready >= queue.max_length:
            raise Overloaded(f"The queue {queue.name} is full ({queue.max_length} messages).")
        connection.execute(
            "INSERT INTO bus_messages (queue, envelope, body, expires_at) VALUES (?, ?, ?, ?)",
            (queue.name, envelope.model_dump_json(), body, expires_at),
        )


def take(connection: sqlite3.Connection, queue: str) -> Taken | None:
    """The next message of a queue, marked as taken."""
    row = connection.execute(
        "UPDATE bus_messages SET taken = 1, deliveries = deliveries + 1 WHERE place ="
        " (SELECT place FROM bus_messages WHERE queue = ? AND taken = 0 ORDER BY place LIMIT 1) RETURNING *",
        (queue,),
    ).fetchone()
    if row is None:
        return None
    dead = _dead(row) if queue == DEAD.name else None
    return Taken(row["place"], _envelope(row["envelope"]), row["body"], redelivered=row["deliveries"] > 1, dead=dead)


def expire(connection: sqlite3.Connection) -> bool:
    """What nobody took in time dies, in whichever queue it waits; whether anything did."""
    now = int(time.time() * 1000)
    dead = connection.execute(f"{_DIES} WHERE taken = 0 AND expires_at <= ?", (DEAD.name, "expired", now, None, now))
    return dead.rowcount > 0


def bury(connection: sqlite3.Connection, place: int, why: str) -> None:
    """A taken message dies, for this reason."""
    now = int(time.time() * 1000)
    connection.execute(f"{_DIES} WHERE place = ?", (DEAD.name, "rejected", now, why or None, place))


def give_back(connection: sqlite3.Connection, place: int) -> None:
    """A taken message waits again."""
    connection.execute("UPDATE bus_messages SET taken = 0 WHERE place = ?", (place,))


def free(connection: sqlite3.Connection, queues: Sequence[str]) -> None:
    """Whatever was taken from these queues waits again."""
    connection.executemany("UPDATE bus_messages SET taken = 0 WHERE queue = ?", [(one,) for one in queues])


def remove(connection: sqlite3.Connection, place: int) -> None:
    """It was handled."""
    connection.execute("DELETE FROM bus_messages WHERE place = ?", (place,))


def _envelope(text: str) -> Envelope | None:
    try:
        return Envelope.model_validate_json(text)
    except ValueError:
        return None


def _dead(row: sqlite3.Row) -> DeadMessage:
    died_at = row["died_at"]
    return DeadMessage(
        attributes=attributes_of(_object(row["envelope"]), prefix=""),
        body=row["body"],
        queue=row["died_in"] or DEAD.name,
        reason=row["died_of"] or "rejected",
        deliveries=row["died_after"],
        at=moment(int(time.time() * 1000) if died_at is None else died_at),
        why=row["why_dead"],
    )


def _object(text: str) -> dict[str, object]:
    try:
        found = from_json(text)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
