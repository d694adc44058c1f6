"""`Audit` in SQLite."""

import sqlite3
from datetime import UTC, datetime, timedelta

from contracts.administration import AuditEntry, AuditOutcome, CommandError
from contracts.cursors import read_cursor, write_cursor
from contracts.ports.administration import Audit
from contracts.records import Page
from infra.sqlite.database import SqliteDatabase
from infra.sqlite.times import moment, stored

KEPT = timedelta(days=90)


class SqliteAudit(Audit):
    """Records as JSON, what they are found by beside them; times in whole milliseconds."""

    def __init__(self, database: SqliteDatabase) -> None:
        self._database = database

    async def note(self, entry: AuditEntry) -> None:
        times = {"at": entry.at, "ended_at": entry.ended_at}
        whole = entry.model_copy(update={name: moment(stored(at)) for name, at in times.items() if at is not None})
        row = whole.id, stored(whole.at), whole.actor, whole.action, whole.subject, whole.model_dump_json()

        def work(connection: sqlite3.Connection) -> None:
            connection.execute("DELETE FROM audit WHERE at < ?", (stored(datetime.now(UTC) - KEPT),))
            connection.execute(
                "INSERT INTO audit (id, at, actor, action, subject, record) VALUES (?, ?, ?, ?, ?, ?)"
                " ON CONFLICT (id) DO NOTHING",
                row,
            )

        await self._database.write(work)

    async def settle(
        self, entry_id: str, outcome: AuditOutcome, at: datetime, error: CommandError | None = None
    ) -> None:
        settled = {"outcome": outcome, "ended_at": moment(stored(at)), "error": error}

        def work(connection: sqlite3.Connection) -> None:
            row = connection.execute("SELECT record FROM audit WHERE id = ?", (entry_id,)).fetchone()
            kept = _entry(row) if row else None
            if kept and kept.outcome == "accepted":
                record = kept.model_copy(update=settled).model_dump_json()
                connection.execute("UPDATE audit SET record = ? WHERE id = ?", (record, entry_id))

        await self._database.write(work)

    async def page(
        self,
        limit: int,
        cursor: str | None,
        *,
        actor: str | None = None,
        action: str | None = None,
        subject: str | None = None,
    ) -> Page[AuditEntry]:
        before = (1 << 62, "") if cursor is None else _place(cursor)
        asked = {"actor": actor, "action": action, "subject": subject}
        only = {column: value for column, value in asked.items() if value is not None}
        conditions = "".join(f" AND {column} = ?" for column in only)

        def work(connection: sqlite3.Connection) -> list[sqlite3.Row]:
            return connection.execute(
                f"SELECT record FROM audit WHERE (at, id) < (?, ?){conditions} ORDER BY at DESC, id DESC LIMIT ?",
                (*before, *only.values(), limit + 1),
            ).fetchall()

        entries = [_entry(row) for row in await self._database.read(work)]
        more = write_cursor(entries[limit - 1].at, entries[limit - 1].id) if len(entries) > limit else None
        return Page[AuditEntry](items=tuple(entries[:limit]), next_cursor=more)


def _entry(row: sqlite3.Row) -> AuditEntry:
    return AuditEntry.model_validate_json(row["record"])


def _place(cursor: str) -> tuple[int, str]:
    at, last_id = read_cursor(cursor)
    return stored(at), last_id
