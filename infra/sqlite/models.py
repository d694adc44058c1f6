"""`Models` in SQLite: the catalog."""

import sqlite3
from collections.abc import Sequence

from contracts.ports.stores import Models
from contracts.records import BackendHealth, Model
from infra.sqlite.database import SqliteDatabase


class SqliteModels(Models):
    """Records as JSON, by name."""

    def __init__(self, database: SqliteDatabase) -> None:
        self._database = database

    async def all(self) -> Sequence[Model]:
        rows = await self._rows("SELECT record FROM models ORDER BY name")
        return [Model.model_validate_json(row["record"]) for row in rows]

    async def put(self, models: Sequence[Model]) -> None:
        await self._put("models", [(one.name, one.model_dump_json()) for one in models])

    async def health(self) -> Sequence[BackendHealth]:
        rows = await self._rows("SELECT record FROM backend_health ORDER BY name")
        return [BackendHealth.model_validate_json(row["record"]) for row in rows]

    async def put_health(self, health: Sequence[BackendHealth]) -> None:
        await self._put("backend_health", [(one.name, one.model_dump_json()) for one in health])

    async def _rows(self, sql: str) -> list[sqlite3.Row]:
        return await self._database.read(lambda connection: connection.execute(sql).fetchall())

    async def _put(self, table: str, records: list[tuple[str, str]]) -> None:
        sql = f"INSERT INTO {table} (name, record) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET record = excluded.record"
        await self._database.write(lambda connection: connection.executemany(sql, records))
