"""`Sessions` in SQLite."""

import json
import sqlite3
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from contracts.ports.stores import Sessions
from contracts.records import Session, SessionToken
from infra.sqlite.database import SqliteDatabase
from infra.sqlite.times import moment, moment_or_none, stored

TOKENS = 10
"""Refresh tokens of a session that are remembered; the use of an older one finds nothing."""
KEPT = timedelta(days=7)
"""How long a session is kept after it expired."""


class SqliteSessions(Sessions):
    """A row a session and a row a token."""

    def __init__(self, database: SqliteDatabase) -> None:
        self._database = database

    async def add(self, session: Session) -> None:
        def work(connection: sqlite3.Connection) -> None:
            connection.execute("DELETE FROM sessions WHERE expires_at < ?", (stored(datetime.now(UTC) - KEPT),))
            connection.execute(
                "INSERT INTO sessions (id, account_id, created_at, expires_at) VALUES (?, ?, ?, ?)",
                (session.id, session.account_id, stored(session.created_at), stored(session.expires_at)),
            )
            for place, token in enumerate(session.tokens):
                _put_token(connection, session.id, place, token.hash)

        await self._database.write(work)

    async def get(self, session_id: str) -> Session | None:
        return await self._database.read(lambda connection: _session(connection, session_id))

    async def living(self, session_ids: Sequence[str]) -> set[str]:
        def work(connection: sqlite3.Connection) -> list[sqlite3.Row]:
            return connection.execute(
                "SELECT id FROM sessions WHERE id IN (SELECT value FROM json_each(?)) AND ended_at IS NULL AND expires_at > ?",
                (json.dumps(list(session_ids)), stored(datetime.now(UTC))),
            ).fetchall()

        return {row["id"] for row in await self._database.read(work)}

    async def rotate(self, token_hash: str, successor_hash: str, now: datetime, grace: float) -> Session | None:
        def work(connection: sqlite3.Connection) -> Session | None:
            found = _token(connection, token_hash)
            if found is None or found["ended_at"] is not None or found["expires_at"] <= stored(now):
                return None
            replaced = found["replaced_at"]
            if replaced is not None and stored(now) - replaced >= grace * 1000:
                _end(connection, found["session_id"], now)
                return None
            _replace(connection, found["session_id"], token_hash, successor_hash, now)
            return _session(connection, found["session_id"])

        return await self._database.write(work)

    async def end(self, session_id: str, account_id: str, now: datetime) -> None:
        def work(connection: sqlite3.Connection) -> None:
            session = _session(connection, session_id)
            if session is not None and session.account_id == account_id:
                _end(connection, session_id, now)

        await self._database.write(work)

    async def end_by_token(self, token_hash: str, now: datetime) -> str | None:
        def work(connection: sqlite3.Connection) -> str | None:
            found = _token(connection, token_hash)
            if found is None:
                return None
            _end(connection, found["session_id"], now)
            return found["session_id"]

        return await self._database.write(work)


def _token(connection: sqlite3.Connection, token_hash: str) -> sqlite3.Row | None:
    return connection.execute(
        "SELECT t.session_id, t.replaced_at, s.ended_at, s.expires_at"
        " FROM session_tokens t JOIN sessions s ON s.id = t.session_id WHERE t.hash = ?",
        (token_hash,),
    ).fetchone()


def _put_token(connection: sqlite3.Connection, session_id: str, place: int, token_hash: str) -> None:
    connection.execute(
        "INSERT INTO session_tokens (hash, session_id, place) VALUES (?, ?, ?)", (token_hash, session_id, place)
    )


def _replace(
    connection: sqlite3.Connection, session_id: str, token_hash: str, successor_hash: str, now: datetime
) -> None:
    connection.execute(
        "UPDATE session_tokens SET replaced_at = ? WHERE hash = ? AND replaced_at IS NULL", (stored(now), token_hash)
    )
    newest = connection.execute("SELECT max(place) FROM session_tokens WHERE session_id = ?", (session_id,)).fetchone()
    _put_token(connection, session_id, newest[0] + 1, successor_hash)
    connection.execute(
        "DELETE FROM session_tokens WHERE session_id = ? AND place <= ?", (session_id, newest[0] + 1 - TOKENS)
    )


def _end(connection: sqlite3.Connection, session_id: str, now: datetime) -> None:
    connection.execute("UPDATE sessions SET ended_at = coalesce(ended_at, ?) WHERE id = ?", (stored(now), session_id))


def _session(connection: sqlite3.Connection, session_id: str) -> Session | None:
    row = connection.execute("SELECT * FROM sessions WHERE id = ?", (session_id,)).fetchone()
    if row is None:
        return None
    tokens = connection.execute(
        "SELECT hash, replaced_at FROM session_tokens WHERE session_id = ? ORDER BY place", (session_id,)
    ).fetchall()
    return Session(
        id=row["id"],
        account_id=row["account_id"],
        tokens=tuple(SessionToken(hash=one["hash"], replaced_at=moment_or_none(one["replaced_at"])) for one in tokens),
        created_at=moment(row["created_at"]),
        expires_at=moment(row["expires_at"]),
        ended_at=moment_or_none(row["ended_at"]),
    )
