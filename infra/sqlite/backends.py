"""`Backends` in SQLite."""

import sqlite3
from collections.abc import Sequence

from contracts.ports.secrets import Cipher
from contracts.ports.stores import Backends
from contracts.records import RegisteredBackend
from contracts.registering import joined, parted
from infra.sqlite.database import SqliteDatabase


class SqliteBackends(Backends):
    """Records as JSON, by name, each with its encrypted key beside it."""

    def __init__(self, database: SqliteDatabase, cipher: Cipher) -> None:
        self._database = database
        self._cipher = cipher

    async def all(self) -> Sequence[RegisteredBackend]:
        rows = await self._database.read(
            lambda connection: connection.execute("SELECT * FROM backends ORDER BY name").fetchall()
        )
        return [self._backend(row) for row in rows]

    async def names(self) -> Sequence[str]:
        rows = await self._database.read(
            lambda connection: connection.execute("SELECT name FROM backends ORDER BY name").fetchall()
        )
        return [row["name"] for row in rows]

    async def get(self, name: str) -> RegisteredBackend | None:
        row = await self._database.read(
            lambda connection: connection.execute("SELECT * FROM backends WHERE name = ?", (name,)).fetchone()
        )
        return self._backend(row) if row else None

    async def add(self, backend: RegisteredBackend) -> bool:
        return await self._change(
            "INSERT INTO backends (record, api_key, name) VALUES (?, ?, ?) ON CONFLICT (name) DO NOTHING",
            self._row(backend),
        )

    async def put(self, backend: RegisteredBackend) -> bool:
        return await self._change("UPDATE backends SET record = ?, api_key = ? WHERE name = ?", self._row(backend))

    async def remove(self, name: str) -> bool:
        return await self._change("DELETE FROM backends WHERE name = ?", (name,))

    async def _change(self, sql: str, values: tuple[object, ...]) -> bool:
        return await self._database.write(lambda connection: connection.execute(sql, values).rowcount > 0)

    def _row(self, backend: RegisteredBackend) -> tuple[object, ...]:
        record, hidden = parted(backend, self._cipher)
        return record.model_dump_json(), hidden, backend.settings.name

    def _backend(self, row: sqlite3.Row) -> RegisteredBackend:
        return joined(
            row["name"],
            lambda: RegisteredBackend.model_validate_json(row["record"]),
            row["api_key"],
            self._cipher,
        )
