"""`ApiKeys` in SQLite."""

import json
import sqlite3
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from contracts.cursors import read_cursor, write_cursor
from contracts.ports.stores import ApiKeys
from contracts.records import ApiKey, Page
from infra.sqlite.database import SqliteDatabase
from infra.sqlite.times import moment, moment_or_none, stored


class SqliteApiKeys(ApiKeys):
    """A row a key."""

    def __init__(self, database: SqliteDatabase) -> None:
        self._database = database

    async def add(self, key: ApiKey, at_most: int) -> ApiKey | None:
        def work(connection: sqlite3.Connection) -> ApiKey | None:
            kept = _of_hash(connection, key.hash)
            if kept is not None:
                return kept
            have = connection.execute("SELECT count(*) FROM api_keys WHERE owner = ?", (key.owner,)).fetchone()[0]
            if have >= at_most:
                return None
            connection.execute(
                "INSERT INTO api_keys (id, owner, name, prefix, hash, scopes, created_at, expires_at, last_used_at)"
                " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                _row(key),
            )
            return key

        return await self._database.write(work)

    async def page(self, owner: str, limit: int, cursor: str | None) -> Page[ApiKey]:
        before = (1 << 62, "") if cursor is None else _place(cursor)

        def work(connection: sqlite3.Connection) -> list[sqlite3.Row]:
            return connection.execute(
                "SELECT * FROM api_keys WHERE owner = ? AND (created_at, id) < (?, ?)"
                " ORDER BY created_at DESC, id DESC LIMIT ?",
                (owner, *before, limit + 1),
            ).fetchall()

        keys = [_key(row) for row in await self._database.read(work)]
        more = write_cursor(keys[limit - 1].created_at, keys[limit - 1].id) if len(keys) > limit else None
        return Page[ApiKey](items=tuple(keys[:limit]), next_cursor=more)

    async def by_hash(self, secret_hash: str) -> ApiKey | None:
        return await self._database.read(lambda connection: _of_hash(connection, secret_hash))

    async def owners(self, key_ids: Sequence[str]) -> Mapping[str, str]:
        def work(connection: sqlite3.Connection) -> list[sqlite3.Row]:
            return connection.execute(
                "SELECT id, owner FROM api_keys WHERE id IN (SELECT value FROM json_each(?))"
                " AND (expires_at IS NULL OR expires_at > ?)",
                (json.dumps(list(key_ids)), stored(datetime.now(UTC))),
            ).fetchall()

        return {row["id"]: row["owner"] for row in await self._database.read(work)}

    async def revoke(self, owner: str, key_id: str) -> bool:
        def work(connection: sqlite3.Connection) -> bool:
            return connection.execute("DELETE FROM api_keys WHERE id = ? AND owner = ?", (key_id, owner)).rowcount > 0

        return await self._database.write(work)

    async def note_uses(self, uses: Mapping[str, datetime]) -> None:
        moments = [{"id": key_id, "at": stored(at)} for key_id, at in uses.items()]
        await self._database.write(
            lambda connection: connection.executemany(
                "UPDATE api_keys SET last_used_at = :at WHERE id = :id AND coalesce(last_used_at, 0) < :at", moments
            )
        )


def _of_hash(connection: sqlite3.Connection, secret_hash: str) -> ApiKey | None:
    row = connection.execute("SELECT * FROM api_keys WHERE hash = ?", (secret_hash,)).fetchone()
    return _key(row) if row else None


def _row(key: ApiKey) -> tuple[object, ...]:
    scopes = json.dumps(key.scopes)
    expires_at, last_used_at = [stored(at) if at else None for at in (key.expires_at, key.last_used_at)]
    return key.id, key.owner, key.name, key.prefix, key.hash, scopes, stored(key.created_at), expires_at, last_used_at


def _key(row: sqlite3.Row) -> ApiKey:
    return ApiKey(
        id=row["id"],
        owner=row["owner"],
        name=row["name"],
        prefix=row["prefix"],
        hash=row["hash"],
        scopes=tuple(json.loads(row["scopes"])),
        created_at=moment(row["created_at"]),
        expires_at=moment_or_none(row["expires_at"]),
        last_used_at=moment_or_none(row["last_used_at"]),
    )


def _place(cursor: str) -> tuple[int, str]:
    created_at, last_id = read_cursor(cursor)
    return stored(created_at), last_id
