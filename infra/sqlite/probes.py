"""`Probes` in SQLite."""

import sqlite3

from contracts.ports.stores import Probes
from contracts.records import Probe
from infra.sqlite.database import SqliteDatabase


class SqliteProbes(Probes):
    """Records as JSON, one for each model on each back-end."""

    def __init__(self, database: SqliteDatabase) -> None:
        self._database = database

    async def known(self, backend: str, model: str, digest: str | None) -> Probe | None:
        def work(connection: sqlite3.Connection) -> sqlite3.Row | None:
            sql = "SELECT record FROM probes WHERE backend = ? AND model = ?"
            return connection.execute(sql, (backend, model)).fetchone()

        row = await self._database.read(work)
        probe = None if row is None else Probe.model_validate_json(row["record"])
        return probe if probe is not None and probe.digest == digest else None

    async def keep(self, probe: Probe) -> None:
        sql = (
            "INSERT INTO probes (backend, model, record) VALUES (?, ?, ?)"
            " ON CONFLICT (backend, model) DO UPDATE SET record = excluded.record"
        )
        values = (probe.backend, probe.model, probe.model_dump_json())
        await self._database.write(lambda connection: connection.execute(sql, values))
