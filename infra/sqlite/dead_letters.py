"""`DeadLetters` in SQLite."""

import sqlite3
from datetime import datetime

from contracts.cursors import read_cursor, write_cursor
from contracts.ports.stores import DeadLetters
from contracts.records import DeadLetter, DeadLetterStatus, Page
from infra.sqlite.database import SqliteDatabase
from infra.sqlite.times import moment, stored


class SqliteDeadLetters(DeadLetters):
    """Records as JSON, their status and moment beside them; times in whole milliseconds."""

    def __init__(self, database: SqliteDatabase) -> None:
        self._database = database

    async def keep(self, letter: DeadLetter) -> None:
        whole = letter.model_copy(update={"died_at": moment(stored(letter.died_at))})
        await self._database.write(
            lambda connection: connection.execute(
                "INSERT INTO dead_letters (id, status, died_at, record) VALUES (?, ?, ?, ?) ON CONFLICT (id) DO NOTHING",
                (whole.id, whole.status, stored(whole.died_at), whole.model_dump_json()),
            )
        )

    async def page(self, limit: int, cursor: str | None, *, status: DeadLetterStatus | None = None) -> Page[DeadLetter]:
        before = (1 << 62, "") if cursor is None else _place(cursor)
        only, values = ("", ()) if status is None else (" AND status = ?", (status,))

        def work(connection: sqlite3.Connection) -> list[sqlite3.Row]:
            return connection.execute(
                f"SELECT record FROM dead_letters WHERE (died_at, id) < (?, ?){only}"
                " ORDER BY died_at DESC, id DESC LIMIT ?",
                (*before, *values, limit + 1),
            ).fetchall()

        letters = [DeadLetter.model_validate_json(row["record"]) for row in await self._database.read(work)]
        more = write_cursor(letters[limit - 1].died_at, letters[limit - 1].id) if len(letters) > limit else None
        return Page[DeadLetter](items=tuple(letters[:limit]), next_cursor=more)

    async def get(self, letter_id: str) -> DeadLetter | None:
        row = await self._database.read(lambda connection: _row(connection, letter_id))
        return DeadLetter.model_validate_json(row["record"]) if row else None

    async def decide(
        self,
        letter_id: str,
        status: DeadLetterStatus,
        *,
        by: str,
        at: datetime,
        replayed_as: str | None = None,
        before: DeadLetterStatus = "waiting",
    ) -> DeadLetter | None:
        decision = {"status": status, "decided_by": by, "decided_at": moment(stored(at)), "replayed_as": replayed_as}

        def work(connection: sqlite3.Connection) -> DeadLetter | None:
            row = _row(connection, letter_id)
            if row is None or row["status"] != before:
                return None
            letter = DeadLetter.model_validate_json(row["record"]).model_copy(update=decision)
            connection.execute(
                "UPDATE dead_letters SET status = ?, record = ? WHERE id = ?",
                (status, letter.model_dump_json(), letter_id),
            )
            return letter

        return await self._database.write(work)


def _row(connection: sqlite3.Connection, letter_id: str) -> sqlite3.Row | None:
    return connection.execute("SELECT status, record FROM dead_letters WHERE id = ?", (letter_id,)).fetchone()


def _place(cursor: str) -> tuple[int, str]:
    died_at, last_id = read_cursor(cursor)
    return stored(died_at), last_id
