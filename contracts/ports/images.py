"""The store of images: bytes that messages refer to."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import NamedTuple, Protocol

from contracts.images import Image

UNUSED_KEPT = timedelta(days=1)
"""How long an image is kept that no recorded message refers to, from when it was sent. Sent again, half of it at least."""


class KeptImage(NamedTuple):
    """An image with its bytes."""

    image: Image
    content: bytes


class Images(Protocol):
    """Each image is its owner's: for everybody else it is not there. It stays as long as a recorded message refers to it."""

    async def add(self, image: Image, content: bytes, at_most: int) -> bool:
        """Keep it. One that is kept already stays as it is, held for half a day more at least.

        False: the owner's images would have more than `at_most` bytes together. What is not used any more, by `image.created_at`,
        goes first. Raises Unavailable.
        """
        ...

    async def hold(self, owner: str, image_ids: Sequence[str], until: datetime) -> Sequence[Image]:
        """Those of them that the owner has, in that order; none of these goes before that moment, but by `discard`."""
        ...

    async def get(self, owner: str, image_id: str) -> KeptImage | None: ...

    async def discard(self, owner: str, image_ids: Sequence[str]) -> None:
        """Remove those of them that no recorded message refers to (any more). Idempotent."""
        ...
