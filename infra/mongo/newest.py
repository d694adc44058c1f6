"""Pages of a collection, the newest first: by a field's moment, then by id."""

from contracts.cursors import read_cursor
from infra.mongo.database import Collection, Document, MongoDatabase


async def newest(
    database: MongoDatabase, collection: Collection, field: str, most: int, condition: Document, cursor: str | None
) -> list[Document]:
    """Up to `most` documents behind the cursor. Raises ValueError for a cursor that no list made.

    After a cursor: first the rest of its moment, then what is older; each is one walk along the index.
    """

    async def walk(limit: int, only: Document) -> list[Document]:
        call = collection.find({**condition, **only}).sort([(field, -1), ("_id", -1)]).limit(limit).to_list()
        return await database.run(call)

    if cursor is None:
        return await walk(most, {})
    moment, last_id = read_cursor(cursor)
    found = await walk(most, {field: moment, "_id": {"$lt": last_id}})
    if len(found) < most:
        found += await walk(most - len(found), {field: {"$lt": moment}})
    return found
