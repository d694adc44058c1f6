"""`Steps` in SQLite."""

import sqlite3
import time
from collections.abc import Sequence

from contracts.administration import Step
from contracts.ports.administration import Steps
from infra.sqlite.database import SqliteDatabase
from infra.sqlite.times import moment, stored


class SqliteSteps(Steps):
    """Records as JSON, by key; leases by this machine's clock, the file has no other.

    Epochs are numbers of the file, not of the key: one that comes again is never taken under an old one.
    """

    def __init__(self, database: SqliteDatabase) -> None:
        self._database = database

    async def attach(self, step: Step, command_id: str) -> Step:
        new = step.model_copy(
            update={"commands": (command_id,), "epoch": 0, "changes": 1, "created_at": moment(stored(step.created_at))}
        )

        def work(connection: sqlite3.Connection) -> Step:
            kept = _kept(connection, step.key)
            if kept is None:
                connection.execute(
                    "INSERT INTO steps (key, model, created_at, wanted, record) VALUES (?, ?, ?, 1, ?)",
                    (new.key, new.model, stored(new.created_at), new.model_dump_json()),
                )
                return new
            return kept if command_id in kept.commands else _wait(connection, kept, (*kept.commands, command_id))

        return await self._database.write(work)

    async def detach(self, key: str, command_id: str) -> None:
        def work(connection: sqlite3.Connection) -> None:
            kept = _kept(connection, key)
            if kept and command_id in kept.commands:
                _wait(connection, kept, tuple(one for one in kept.commands if one != command_id))
                _sweep(connection)

        await self._database.write(work)

    async def take(self, holder: str, seconds: float, most: int) -> Sequence[Step]:
        if most < 1:
            return ()  # to SQLite no limit at all
        free = await self._database.read(
            lambda connection: connection.execute("SELECT 1 FROM steps WHERE until <= ?", (_now(),)).fetchone()
        )
        if free is None:
            return ()  # what is asked every second waits for no writer

        def work(connection: sqlite3.Connection) -> Sequence[Step]:
            _sweep(connection)
            rows = connection.execute(
                "SELECT record FROM steps WHERE until <= ? ORDER BY created_at, key LIMIT ?", (_now(), most)
            ).fetchall()
            return [_take(connection, Step.model_validate_json(row["record"]), holder, seconds) for row in rows]

        return await self._database.write(work)

    async def renew(self, step: Step, holder: str, seconds: float) -> Step | None:
        def work(connection: sqlite3.Connection) -> Step | None:
            kept = _held(connection, step, holder)
            if kept is not None:
                _hold(connection, kept, holder, _now() + int(seconds * 1000))
            return kept

        return await self._database.write(work)

    async def release(self, step: Step, holder: str) -> None:
        def work(connection: sqlite3.Connection) -> None:
            kept = _held(connection, step, holder)
            if kept is not None:
                _hold(connection, kept, None, 0)
                _sweep(connection)

        await self._database.write(work)

    async def finish(self, step: Step, holder: str) -> bool:
        def work(connection: sqlite3.Connection) -> bool:
            kept = _held(connection, step, holder)
            if kept is None or kept.changes != step.changes:
                return False
            connection.execute("DELETE FROM steps WHERE key = ?", (step.key,))
            return True

        return await self._database.write(work)

    async def concerning(self, model: str) -> Sequence[Step]:
        rows = await self._database.read(
            lambda connection: connection.execute(
                "SELECT record FROM steps WHERE model = ? AND wanted = 1 ORDER BY created_at, key", (model,)
            ).fetchall()
        )
        return [Step.model_validate_json(row["record"]) for row in rows]


def _now() -> int:
    return int(time.time() * 1000)


def _kept(connection: sqlite3.Connection, key: str) -> Step | None:
    row = connection.execute("SELECT record FROM steps WHERE key = ?", (key,)).fetchone()
    return Step.model_validate_json(row["record"]) if row else None


def _held(connection: sqlite3.Connection, step: Step, holder: str) -> Step | None:
    """The step as it is kept, if nobody else has taken it since."""
    row = connection.execute("SELECT record FROM steps WHERE key = ? AND holder = ?", (step.key, holder)).fetchone()
    kept = Step.model_validate_json(row["record"]) if row else None
    return kept if kept and kept.epoch == step.epoch else None


def _wait(connection: sqlite3.Connection, kept: Step, commands: tuple[str, ...]) -> Step:
    """Have these wait for it, where others did."""
    step = kept.model_copy(update={"commands": commands, "changes": kept.changes + 1})
    connection.execute(
        "UPDATE steps SET wanted = ?, record = ? WHERE key = ?", (bool(commands), step.model_dump_json(), step.key)
    )
    return step


def _take(connection: sqlite3.Connection, kept: Step, holder: str, seconds: float) -> Step:
    epoch = connection.execute("UPDATE step_epoch SET last = last + 1 RETURNING last").fetchone()["last"]
    step = kept.model_copy(update={"epoch": epoch})
    connection.execute("UPDATE steps SET record = ? WHERE key = ?", (step.model_dump_json(), step.key))
    _hold(connection, step, holder, _now() + int(seconds * 1000))
    return step


def _hold(connection: sqlite3.Connection, step: Step, holder: str | None, until: int) -> None:
    connection.execute("UPDATE steps SET holder = ?, until = ? WHERE key = ?", (holder, until, step.key))


def _sweep(connection: sqlite3.Connection) -> None:
    """Remove what nobody waits for and nobody holds (any more)."""
    connection.execute("DELETE FROM steps WHERE wanted = 0 AND until <= ?", (_now(),))
