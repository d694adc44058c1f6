"""`Images` in SQLite."""

import json
import sqlite3
from collections.abc import Sequence
from datetime import datetime

from contracts.images import Image
from contracts.ports.images import UNUSED_KEPT, Images, KeptImage
from infra.sqlite.database import SqliteDatabase
from infra.sqlite.times import moment, stored

_UNUSED = (
    "DELETE FROM images WHERE owner = :owner AND {which} AND NOT EXISTS"
    " (SELECT 1 FROM message_images m WHERE m.owner = images.owner AND m.image_id = images.id)"
)


class SqliteImages(Images):
    """A row an image: the record as JSON, its bytes beside it. The owner is in every query."""

    def __init__(self, database: SqliteDatabase) -> None:
        self._database = database

    async def add(self, image: Image, content: bytes, at_most: int) -> bool:
        whole = image.model_copy(update={"created_at": moment(stored(image.created_at))})
        until = stored(image.created_at + UNUSED_KEPT)

        def work(connection: sqlite3.Connection) -> bool:
            if _hold(connection, image.owner, [image.id], stored(image.created_at + UNUSED_KEPT / 2)):
                return True
            gone = {"owner": image.owner, "now": stored(image.created_at)}
            connection.execute(_UNUSED.format(which="kept_until < :now"), gone)
            sql = "SELECT coalesce(sum(size), 0) FROM images WHERE owner = ?"
            if connection.execute(sql, (image.owner,)).fetchone()[0] + image.size > at_most:
                return False
            connection.execute(
                "INSERT INTO images (owner, id, size, kept_until, record, content) VALUES (?, ?, ?, ?, ?, ?)",
                (image.owner, image.id, image.size, until, whole.model_dump_json(), content),
            )
            return True

        return await self._database.write(work)

    async def hold(self, owner: str, image_ids: Sequence[str], until: datetime) -> Sequence[Image]:
        held = await self._database.write(lambda connection: _hold(connection, owner, image_ids, stored(until)))
        found = {one.id: one for one in held}
        return [found[one] for one in image_ids if one in found]

    async def get(self, owner: str, image_id: str) -> KeptImage | None:
        sql = "SELECT record, content FROM images WHERE owner = ? AND id = ?"
        row = await self._database.read(lambda connection: connection.execute(sql, (owner, image_id)).fetchone())
        return KeptImage(Image.model_validate_json(row["record"]), row["content"]) if row else None

    async def discard(self, owner: str, image_ids: Sequence[str]) -> None:
        gone = {"owner": owner, "ids": json.dumps(list(image_ids))}
        sql = _UNUSED.format(which="id IN (SELECT value FROM json_each(:ids))")
        await self._database.write(lambda connection: connection.execute(sql, gone))


def _hold(connection: sqlite3.Connection, owner: str, image_ids: Sequence[str], until: int) -> list[Image]:
    ids = json.dumps(list(image_ids))
    sql = (
        "UPDATE images SET kept_until = ? WHERE owner = ? AND id IN (SELECT value FROM json_each(?)) AND kept_until < ?"
    )
    connection.execute(sql, (until, owner, ids, until))
    sql = "SELECT record FROM images WHERE owner = ? AND id IN (SELECT value FROM json_each(?))"
    return [Image.model_validate_json(row["record"]) for row in connection.execute(sql, (owner, ids))]
