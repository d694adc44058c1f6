"""`Models` in SQLite: the catalog."""

import sqlite3
from collections.abc import Callable, Sequence
from datetime import datetime

from contracts.ports.stores import Models
from contracts.records import Alias, BackendHealth, Model, ModelChanges
from infra.sqlite.database import SqliteDatabase


class SqliteModels(Models):
    """Records as JSON, by name."""

    def __init__(self, database: SqliteDatabase) -> None:
        self._database = database

    async def all(self) -> Sequence[Model]:
        return [Model.model_validate_json(one) for one in await self._records("models")]

    async def put(self, models: Sequence[Model]) -> None:
        await self._put("models", [(one.name, one.model_dump_json()) for one in models])

    async def note_serving(self, models: Sequence[Model]) -> None:
        def work(connection: sqlite3.Connection) -> None:
            for model in models:
                told = {"served_by": model.served_by, "known": model.known, "updated_at": model.updated_at}
                if _change(connection, model.name, lambda kept, told=told: kept.model_copy(update=told)) is None:
                    connection.execute(
                        "INSERT INTO models (name, record) VALUES (?, ?)", (model.name, model.model_dump_json())
                    )

        await self._database.write(work)

    async def amend(self, name: str, changes: ModelChanges, now: datetime) -> Model | None:
        return await self._database.write(
            lambda connection: _change(connection, name, lambda kept: _amended(kept, changes, now))
        )

    async def remove(self, name: str) -> bool:
        return await self._remove("models", name)

    async def aliases(self) -> Sequence[Alias]:
        return [Alias.model_validate_json(one) for one in await self._records("aliases")]

    async def put_alias(self, alias: Alias) -> None:
        await self._put("aliases", [(alias.name, alias.model_dump_json())])

    async def remove_alias(self, name: str) -> bool:
        return await self._remove("aliases", name)

    async def health(self) -> Sequence[BackendHealth]:
        return [BackendHealth.model_validate_json(one) for one in await self._records("backend_health")]

    async def put_health(self, health: Sequence[BackendHealth]) -> None:
        await self._put("backend_health", [(one.name, one.model_dump_json()) for one in health])

    async def keep_health(self, names: Sequence[str]) -> None:
        def work(connection: sqlite3.Connection) -> None:
            seen = {row["name"] for row in connection.execute("SELECT name FROM backend_health")}
            gone = [(one,) for one in seen.difference(names)]
            connection.executemany("DELETE FROM backend_health WHERE name = ?", gone)

        await self._database.write(work)

    async def _records(self, table: str) -> list[str]:
        sql = f"SELECT record FROM {table} ORDER BY name"
        return [row["record"] for row in await self._database.read(lambda one: one.execute(sql).fetchall())]

    async def _put(self, table: str, records: list[tuple[str, str]]) -> None:
        sql = f"INSERT INTO {table} (name, record) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET record = excluded.record"
        await self._database.write(lambda connection: connection.executemany(sql, records))

    async def _remove(self, table: str, name: str) -> bool:
        sql = f"DELETE FROM {table} WHERE name = ?"
        return await self._database.write(lambda connection: connection.execute(sql, (name,)).rowcount > 0)


def _amended(model: Model, changes: ModelChanges, now: datetime) -> Model:
    fields = {one: getattr(changes, one) for one in changes.model_fields_set}
    if changes.verifications:
        newest = {
            one.backend: one for one in sorted((*model.verifications, *changes.verifications), key=lambda one: one.at)
        }
        fields["verifications"] = tuple(newest[one] for one in sorted(newest))
    return model.model_copy(update={**fields, "updated_at": now})


def _change(connection: sqlite3.Connection, name: str, change: Callable[[Model], Model]) -> Model | None:
    """Within a transaction of the one writer: nobody changes it in between. None where there is none."""
    row = connection.execute("SELECT record FROM models WHERE name = ?", (name,)).fetchone()
    if row is None:
        return None
    changed = change(Model.model_validate_json(row["record"]))
    connection.execute("UPDATE models SET record = ? WHERE name = ?", (changed.model_dump_json(), name))
    return changed
