"""`Leases` in SQLite."""

import sqlite3
import time

from contracts.ports.stores import Leases
from infra.sqlite.database import SqliteDatabase


class SqliteLeases(Leases):
    """One row a lease, by this machine's clock: the file has no other."""

    def __init__(self, database: SqliteDatabase) -> None:
        self._database = database

    async def acquire(self, name: str, holder: str, seconds: float) -> bool:
        now = int(time.time() * 1000)

        def work(connection: sqlite3.Connection) -> bool:
            taken = connection.execute(
                "INSERT INTO leases (name, holder, until) VALUES (?, ?, ?) ON CONFLICT (name) DO UPDATE"
                " SET holder = excluded.holder, until = excluded.until WHERE holder = excluded.holder OR until <= ?",
                (name, holder, now + int(seconds * 1000), now),
            )
            return taken.rowcount > 0

        return await self._database.write(work)

    async def release(self, name: str, holder: str) -> None:
        await self._database.write(
            lambda connection: connection.execute("DELETE FROM leases WHERE name = ? AND holder = ?", (name, holder))
        )
