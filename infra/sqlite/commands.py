"""`Commands` in SQLite."""

import sqlite3
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta

from contracts.administration import (
    ENDED,
    AdminCommand,
    CommandError,
    CommandStatus,
    StepProgress,
    StepResult,
)
from contracts.cursors import read_cursor, write_cursor
from contracts.ports.administration import Commands
from contracts.records import Page
from infra.sqlite.database import SqliteDatabase
from infra.sqlite.times import moment, stored

MOST_UNFINISHED = 1000
KEPT = timedelta(days=90)
"""How long a command is kept after it ended."""


class SqliteCommands(Commands):
    """Records as JSON, what they are found by beside them; times in whole milliseconds."""

    def __init__(self, database: SqliteDatabase) -> None:
        self._database = database

    async def add(self, command: AdminCommand) -> AdminCommand:
        whole = _rounded(command)

        def work(connection: sqlite3.Connection) -> AdminCommand:
            connection.execute("DELETE FROM commands WHERE ended_at < ?", (stored(datetime.now(UTC) - KEPT),))
            connection.execute(
                "INSERT INTO commands (status, ended_at, record, id, model, asked_at) VALUES (?, ?, ?, ?, ?, ?)"
                " ON CONFLICT (id) DO NOTHING",
                (*_state(whole), whole.id, whole.model, stored(whole.asked_at)),
            )
            return _kept(connection, whole.id) or whole

        return await self._database.write(work)

    async def get(self, command_id: str) -> AdminCommand | None:
        return await self._database.read(lambda connection: _kept(connection, command_id))

    async def page(
        self, limit: int, cursor: str | None, *, status: CommandStatus | None = None, model: str | None = None
    ) -> Page[AdminCommand]:
        before = (1 << 62, "") if cursor is None else _place(cursor)
        asked = {"status": status, "model": model}
        only = {column: value for column, value in asked.items() if value is not None}
        conditions = "".join(f" AND {column} = ?" for column in only)

        def work(connection: sqlite3.Connection) -> list[sqlite3.Row]:
            return connection.execute(
                f"SELECT record FROM commands WHERE (asked_at, id) < (?, ?){conditions}"
                " ORDER BY asked_at DESC, id DESC LIMIT ?",
                (*before, *only.values(), limit + 1),
            ).fetchall()

        found = [_command(row) for row in await self._database.read(work)]
        more = write_cursor(found[limit - 1].asked_at, found[limit - 1].id) if len(found) > limit else None
        return Page[AdminCommand](items=tuple(found[:limit]), next_cursor=more)

    async def unfinished(self) -> Sequence[AdminCommand]:
        rows = await self._database.read(
            lambda connection: connection.execute(
                "SELECT record FROM commands WHERE status IN ('queued', 'running') ORDER BY asked_at, id LIMIT ?",
                (MOST_UNFINISHED,),
            ).fetchall()
        )
        return [_command(row) for row in rows]

    async def start(self, command_id: str, targets: Sequence[str], at: datetime) -> AdminCommand | None:
        started = {"status": "running", "targets": tuple(targets), "started_at": moment(stored(at))}

        def work(connection: sqlite3.Connection) -> AdminCommand | None:
            kept = _kept(connection, command_id)
            return _put(connection, kept, started) if kept and kept.status == "queued" else kept

        return await self._database.write(work)

    async def note_progress(self, command_id: str, progress: StepProgress) -> None:
        def changed(kept: AdminCommand) -> dict[str, object]:
            return {"progress": {**kept.progress, progress.backend: progress}}

        await self._change(command_id, changed)

    async def note_result(self, command_id: str, target: str, result: StepResult) -> AdminCommand | None:
        whole = result.model_copy(update={"ended_at": moment(stored(result.ended_at))})

        def work(connection: sqlite3.Connection) -> AdminCommand | None:
            kept = _kept(connection, command_id)
            if kept is None or kept.status in ENDED or target in kept.results:
                return kept
            return _put(connection, kept, {"results": {**kept.results, target: whole}})

        return await self._database.write(work)

    async def end(
        self, command_id: str, status: CommandStatus, at: datetime, error: CommandError | None = None
    ) -> AdminCommand | None:
        ended = {"status": status, "ended_at": moment(stored(at)), "error": error}
        return await self._change(command_id, lambda _: ended)

    async def forget(self, command_id: str) -> None:
        await self._database.write(
            lambda connection: connection.execute(
                "DELETE FROM commands WHERE id = ? AND status = 'queued'", (command_id,)
            )
        )

    async def _change(
        self, command_id: str, changed: Callable[[AdminCommand], dict[str, object]]
    ) -> AdminCommand | None:
        """Change one that goes on; None where it has ended, or is unknown."""

        def work(connection: sqlite3.Connection) -> AdminCommand | None:
            kept = _kept(connection, command_id)
            return _put(connection, kept, changed(kept)) if kept and kept.status not in ENDED else None

        return await self._database.write(work)


def _kept(connection: sqlite3.Connection, command_id: str) -> AdminCommand | None:
    row = connection.execute("SELECT record FROM commands WHERE id = ?", (command_id,)).fetchone()
    return _command(row) if row else None


def _put(connection: sqlite3.Connection, kept: AdminCommand, changes: dict[str, object]) -> AdminCommand:
    """Within a transaction of the one writer: nobody changed it since it was read."""
    command = kept.model_copy(update=changes)
    connection.execute(
        "UPDATE commands SET status = ?, ended_at = ?, record = ? WHERE id = ?", (*_state(command), command.id)
    )
    return command


def _state(command: AdminCommand) -> tuple[object, ...]:
    ended_at = stored(command.ended_at) if command.ended_at else None
    return command.status, ended_at, command.model_dump_json()


def _rounded(command: AdminCommand) -> AdminCommand:
    times = {"asked_at": command.asked_at, "started_at": command.started_at, "ended_at": command.ended_at}
    return command.model_copy(update={name: moment(stored(at)) for name, at in times.items() if at is not None})


def _command(row: sqlite3.Row) -> AdminCommand:
    return AdminCommand.model_validate_json(row["record"])


def _place(cursor: str) -> tuple[int, str]:
    asked_at, last_id = read_cursor(cursor)
    return stored(asked_at), last_id
