"""Images that people ask with: read as they come in, kept by their owner, and gone with the last chat that shows them."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import sha256

import structlog

from api.errors import ImageTooLarge, NoRoomForImages, TooManyImages, UnreadableImage
from api.image_headers import header_of
from contracts.commands import Question, Turn
from contracts.errors import NotFound, Unavailable
from contracts.ids import is_id
from contracts.images import (
    LARGEST_IMAGE,
    MOST_CONTEXT_BYTES,
    MOST_IN_CONTEXT,
    MOST_PIXELS,
    Image,
    ImageReference,
    image_id,
)
from contracts.ports.images import Images, KeptImage
from contracts.records import Message, Model

log = structlog.get_logger()

HELD = timedelta(hours=2)
"""For a question that is accepted now: it is recorded within its hard deadline of 25 minutes, or never."""


@dataclass(frozen=True)
class Picture:
    """Bytes that are an image, as their own header says."""

    reference: ImageReference
    content: bytes


def picture(content: bytes) -> Picture:
    """Raises ImageTooLarge, UnreadableImage."""
    if len(content) > LARGEST_IMAGE:
        raise ImageTooLarge(LARGEST_IMAGE, "bytes")
    header = header_of(content)
    if header is None:
        raise UnreadableImage
    if header.width * header.height > MOST_PIXELS:
        raise ImageTooLarge(MOST_PIXELS, "pixels")
    reference = ImageReference(
        id=image_id(content),
        media_type=header.media_type,
        size=len(content),
        width=header.width,
        height=header.height,
    )
    return Picture(reference, content)


@dataclass(frozen=True)
class OwnImages:
    """Images of their owner, and of nobody else. `at_most`: bytes of all that one person has."""

    images: Images
    at_most: int

    async def keep(self, owner: str, made: Picture) -> ImageReference:
        """Keep it, once however often it comes. Raises NoRoomForImages, Unavailable."""
        image = Image(
            **made.reference.model_dump(),
            owner=owner,
            sha256=sha256(made.content).hexdigest(),
            created_at=datetime.now(UTC),
        )
        if not await self.images.add(image, made.content, self.at_most):
            raise NoRoomForImages(self.at_most)
        return made.reference

    async def asked_with(
        self, owner: str, pictures: Iterable[Picture], ids: Sequence[str]
    ) -> tuple[ImageReference, ...]:
        """What a question shows, by these ids, once the pictures that came along are kept. Raises NotFound, NoRoomForImages,
        Unavailable."""
        for one in pictures:
            await self.keep(owner, one)
        if not ids:
            return ()
        held = await self.images.hold(owner, ids, datetime.now(UTC) + HELD) if all(map(is_id, ids)) else ()
        if len(held) != len(ids):
            raise NotFound("There is no such image, or not any more: send it first.")
        return tuple(one.reference for one in held)

    async def open(self, owner: str, wanted: str) -> KeptImage:
        """Raises NotFound, Unavailable."""
        kept = await self.images.get(owner, wanted) if is_id(wanted) else None
        if kept is None:
            raise NotFound("There is no such image.")
        return kept

    async def leave(self, owner: str, gone: Iterable[str], asked: Iterable[Question]) -> None:
        """A chat that showed these was deleted: they go, unless other messages show them, or open questions will.

        Best effort: what stays goes when its owner sends another image, a day later.
        """
        needed = {one.id for question in asked for one in question.images}
        ids = sorted(set(gone) - needed)
        try:
            await self.images.discard(owner, ids)
        except Unavailable as error:
            log.warning("images_not_discarded", images=len(ids), why=str(error))


def images_of(shown: Iterable[Message | Question]) -> set[str]:
    """The ids of all that they show."""
    return {image.id for one in shown for image in one.images}


def sees(model: Model) -> bool:
    """Whether the model reads images, as far as its back-ends tell."""
    return any(one.sees is not False for one in model.served_by)


def refuse_too_many(turns: Iterable[Turn]) -> None:
    """Raises TooManyImages where a worker would have to send more of them at once than it may."""
    if not fit(image for turn in turns for image in turn.images):
        raise TooManyImages(MOST_IN_CONTEXT)


def fit(images: Iterable[ImageReference]) -> bool:
    """Whether a model may be sent these at once."""
    sizes = [one.size for one in images]
    return len(sizes) <= MOST_IN_CONTEXT and sum(sizes) <= MOST_CONTEXT_BYTES
