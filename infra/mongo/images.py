"""`Images` in MongoDB."""

from collections.abc import Sequence
from datetime import datetime

from pymongo.errors import DuplicateKeyError

from contracts.images import Image
from contracts.ports.images import UNUSED_KEPT, Images, KeptImage
from infra.mongo.database import Collection, Document, MongoDatabase
from infra.mongo.documents import document, milliseconds, record_of, same


class MongoImages(Images):
    """A document an image, its bytes in it: 16 MiB at most. Its key is its owner's id and its own; the owner is in every query."""

    def __init__(self, database: MongoDatabase) -> None:
        self._database = database

    async def add(self, image: Image, content: bytes, at_most: int) -> bool:
        owner, renewed = image.owner, image.created_at + UNUSED_KEPT / 2
        if await self.hold(owner, [image.id], renewed):
            return True
        await self._collect(owner, image.created_at)
        if await self._size(owner) + image.size > at_most:
            return bool(
                await self.hold(owner, [image.id], renewed)
            )  # unless it is this very one that came in this moment
        until = milliseconds(image.created_at + UNUSED_KEPT)
        made = {
            **document(image),
            "_id": _key(owner, image.id),
            "id": image.id,
            "kept_until": until,
            "content": content,
        }
        try:
            await self._database.run(self._images.insert_one(made))
        except DuplicateKeyError:  # somebody sent the same in this moment
            return bool(await self.hold(owner, [image.id], renewed))
        if await self._size(owner) > at_most:  # others came in this moment, too
            await self.discard(owner, [image.id])
            return False
        return True

    async def hold(self, owner: str, image_ids: Sequence[str], until: datetime) -> Sequence[Image]:
        wanted, moment = _those(owner, image_ids), milliseconds(until)
        shorter = {**wanted, "kept_until": {"$lt": moment}}
        await self._database.run(self._images.update_many(shorter, {"$set": {"kept_until": moment}}))
        documents = await self._database.run(self._images.find(wanted, {"content": 0}).to_list())
        found = {one["id"]: _image(one) for one in documents}
        return [found[one] for one in image_ids if one in found]

    async def get(self, owner: str, image_id: str) -> KeptImage | None:
        found = await self._database.run(self._images.find_one(_those(owner, [image_id])))
        return KeptImage(_image(found), bytes(found["content"])) if found else None

    async def discard(self, owner: str, image_ids: Sequence[str]) -> None:
        used = await self._used(owner, image_ids)
        unused = [one for one in image_ids if one not in used]
        await self._database.run(self._images.delete_many(_those(owner, unused)))

    async def _collect(self, owner: str, now: datetime) -> None:
        """Remove what its time is over for and no message refers to; what one refers to is looked at again a day later."""
        over = {"owner": same(owner), "kept_until": {"$lt": milliseconds(now)}}
        found = await self._database.run(self._images.find(over, {"id": 1}).to_list())
        if found:
            ids = [one["id"] for one in found]
            await self.discard(owner, ids)
            await self.hold(owner, ids, now + UNUSED_KEPT)

    async def _used(self, owner: str, image_ids: Sequence[str]) -> set[str]:
        condition = {"owner": same(owner), "images.id": {"$in": list(image_ids)}}
        found = await self._database.run(self._messages.find(condition, {"images.id": 1}).to_list())
        return {one["id"] for message in found for one in message["images"]}

    async def _size(self, owner: str) -> int:
        """Bytes of all images of a person, as the index has them."""
        stages = [{"$match": {"owner": same(owner)}}, {"$group": {"_id": None, "size": {"$sum": "$size"}}}]
        cursor = await self._database.run(self._images.aggregate(stages))
        found = await self._database.run(cursor.to_list())
        return found[0]["size"] if found else 0

    @property
    def _images(self) -> Collection:
        return self._database.collection("images")

    @property
    def _messages(self) -> Collection:
        return self._database.collection("messages")


def _key(owner: str, image_id: str) -> str:
    return f"{owner}/{image_id}"


def _those(owner: str, image_ids: Sequence[str]) -> Document:
    return {"_id": {"$in": [_key(owner, one) for one in image_ids]}, "owner": same(owner)}


def _image(found: Document) -> Image:
    return record_of(Image, {**found, "_id": found["id"]})
