"""`Accounts` in SQLite."""

import json
import sqlite3
from collections.abc import Sequence

from contracts.errors import Conflict
from contracts.ports.stores import Accounts
from contracts.records import Account, Role
from infra.sqlite.database import SqliteDatabase


class SqliteAccounts(Accounts):
    """Accounts as JSON, unique by id and by folded e-mail."""

    def __init__(self, database: SqliteDatabase) -> None:
        self._database = database

    async def add(self, account: Account, *, first_role: Role | None = None) -> Account:
        def work(connection: sqlite3.Connection) -> Account:
            first = connection.execute("SELECT 1 FROM accounts LIMIT 1").fetchone() is None
            kept = account.model_copy(update={"role": first_role}) if first and first_role else account
            try:
                connection.execute(
                    "INSERT INTO accounts (id, email, record) VALUES (?, ?, ?)",
                    (kept.id, kept.email, kept.model_dump_json()),
                )
            except sqlite3.IntegrityError as error:
                raise Conflict("email_taken", "An account with this e-mail address exists already.") from error
            return kept

        return await self._database.write(work)

    async def get(self, account_id: str) -> Account | None:
        return await self._one("SELECT record FROM accounts WHERE id = ?", account_id)

    async def by_email(self, email: str) -> Account | None:
        return await self._one("SELECT record FROM accounts WHERE email = ?", email)

    async def put_role_and_password(self, account_id: str, role: Role, password_hash: str) -> None:
        await self._database.write(
            lambda connection: connection.execute(
                "UPDATE accounts SET record = json_set(record, '$.role', ?, '$.password_hash', ?) WHERE id = ?",
                (role, password_hash, account_id),
            )
        )

    async def put_display_name(self, account_id: str, display_name: str) -> Account | None:
        def work(connection: sqlite3.Connection) -> Account | None:
            row = connection.execute(
                "UPDATE accounts SET record = json_set(record, '$.display_name', ?) WHERE id = ? RETURNING record",
                (display_name, account_id),
            ).fetchone()
            return Account.model_validate_json(row["record"]) if row else None

        return await self._database.write(work)

    async def active(self, account_ids: Sequence[str]) -> set[str]:
        def work(connection: sqlite3.Connection) -> list[sqlite3.Row]:
            return connection.execute(
                "SELECT id FROM accounts WHERE id IN (SELECT value FROM json_each(?))"
                " AND json_extract(record, '$.status') = 'active'",
                (json.dumps(list(account_ids)),),
            ).fetchall()

        return {row["id"] for row in await self._database.read(work)}

    async def count(self) -> int:
        return await self._database.read(
            lambda connection: connection.execute("SELECT count(*) FROM accounts").fetchone()[0]
        )

    async def _one(self, sql: str, value: str) -> Account | None:
        row = await self._database.read(lambda connection: connection.execute(sql, (value,)).fetchone())
        return Account.model_validate_json(row["record"]) if row else None
