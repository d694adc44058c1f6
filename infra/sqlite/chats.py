"""`Chats` in SQLite: what a person reads, renames and deletes."""

import sqlite3
from collections.abc import Sequence
from datetime import datetime

from contracts.cursors import read_cursor, write_cursor
from contracts.ports.stores import Chats
from contracts.records import Chat, Message, Page
from infra.sqlite.database import SqliteDatabase
from infra.sqlite.times import moment, stored


class SqliteChats(Chats):
    """The owner is in every query."""

    def __init__(self, database: SqliteDatabase) -> None:
        self._database = database

    async def page(self, owner: str, limit: int, cursor: str | None) -> Page[Chat]:
        before = (1 << 62, "") if cursor is None else _place(cursor)

        def work(connection: sqlite3.Connection) -> list[sqlite3.Row]:
            return connection.execute(
                "SELECT * FROM chats WHERE owner = ? AND deleted_at IS NULL AND (updated_at, id) < (?, ?)"
                " ORDER BY updated_at DESC, id DESC LIMIT ?",
                (owner, *before, limit + 1),
            ).fetchall()

        rows = await self._database.read(work)
        chats = [_chat(row) for row in rows]
        more = write_cursor(chats[limit - 1].updated_at, chats[limit - 1].id) if len(chats) > limit else None
        return Page[Chat](items=tuple(chats[:limit]), next_cursor=more)

    async def get(self, owner: str, chat_id: str) -> Chat | None:
        row = await self._database.read(lambda connection: _live(connection, owner, chat_id))
        return _chat(row) if row else None

    async def messages(self, owner: str, chat_id: str) -> Sequence[Message]:
        def work(connection: sqlite3.Connection) -> list[sqlite3.Row]:
            return connection.execute(
                "SELECT m.record FROM messages m JOIN chats c ON c.id = m.chat_id"
                " WHERE m.chat_id = ? AND m.owner = ? AND c.owner = ? AND c.deleted_at IS NULL ORDER BY m.id",
                (chat_id, owner, owner),
            ).fetchall()

        return [Message.model_validate_json(row["record"]) for row in await self._database.read(work)]

    async def rename(self, owner: str, chat_id: str, title: str) -> Chat | None:
        def work(connection: sqlite3.Connection) -> sqlite3.Row | None:
            connection.execute(
                "UPDATE chats SET title = ?, renamed = 1 WHERE id = ? AND owner = ? AND deleted_at IS NULL",
                (title, chat_id, owner),
            )
            return _live(connection, owner, chat_id)

        row = await self._database.write(work)
        return _chat(row) if row else None

    async def delete(self, owner: str, chat_id: str, now: datetime) -> bool:
        def work(connection: sqlite3.Connection) -> bool:
            lived = _live(connection, owner, chat_id) is not None
            connection.execute(
                "INSERT INTO chats (id, owner, title, model, created_at, updated_at, deleted_at)"
                " VALUES (?, ?, '', '', ?, ?, ?) ON CONFLICT (id) DO UPDATE"
                " SET deleted_at = coalesce(deleted_at, excluded.deleted_at), title = '' WHERE owner = excluded.owner",
                (chat_id, owner, stored(now), stored(now), stored(now)),
            )
            connection.execute("DELETE FROM messages WHERE chat_id = ? AND owner = ?", (chat_id, owner))
            return lived

        return await self._database.write(work)

    async def deleted(self, owner: str, chat_id: str) -> bool:
        sql = "SELECT 1 FROM chats WHERE id = ? AND owner = ? AND deleted_at IS NOT NULL"
        row = await self._database.read(lambda connection: connection.execute(sql, (chat_id, owner)).fetchone())
        return row is not None

    async def reply(self, owner: str, generation_id: str) -> Message | None:
        def work(connection: sqlite3.Connection) -> sqlite3.Row | None:
            return connection.execute(
                "SELECT m.record FROM messages m JOIN chats c ON c.id = m.chat_id"
                " WHERE m.generation_id = ? AND m.owner = ? AND m.role = 'assistant' AND c.deleted_at IS NULL",
                (generation_id, owner),
            ).fetchone()

        row = await self._database.read(work)
        return Message.model_validate_json(row["record"]) if row else None


def _live(connection: sqlite3.Connection, owner: str, chat_id: str) -> sqlite3.Row | None:
    return connection.execute(
        "SELECT * FROM chats WHERE id = ? AND owner = ? AND deleted_at IS NULL", (chat_id, owner)
    ).fetchone()


def _chat(row: sqlite3.Row) -> Chat:
    return Chat(
        id=row["id"],
        owner=row["owner"],
        title=row["title"],
        model=row["model"],
        pinned=bool(row["pinned"]),
        archived=bool(row["archived"]),
        folder_id=row["folder_id"],
        created_at=moment(row["created_at"]),
        updated_at=moment(row["updated_at"]),
    )


def _place(cursor: str) -> tuple[int, str]:
    updated_at, last_id = read_cursor(cursor)
    return stored(updated_at), last_id
