"""JSON of images, and images that other APIs' bodies carry in themselves."""

import base64
import binascii
import re
from typing import Annotated

from pydantic import BaseModel, StringConstraints

from api.errors import ImageTooLarge, UnreadableImage, Unsupported
from api.images import Picture, picture
from contracts.images import LARGEST_IMAGE, MOST_IN_CONTEXT, ImageKind, ImageReference

ImageId = Annotated[str, StringConstraints(max_length=100)]
_LONGEST = (LARGEST_IMAGE + 3) * 4 // 3 + 100_000
"""Characters of base64, with line breaks: what is longer is too large, and not decoded to find out."""
_DATA = re.compile(r"data:([^,;]{0,100})(?:;[^,;]{0,100}){0,5};base64,", re.IGNORECASE)


class ImageBody(BaseModel):
    """An image that messages may show. `media_type`, `width` and `height`: as its bytes say."""

    id: str
    media_type: ImageKind
    size: int
    width: int
    height: int

    @classmethod
    def of(cls, image: ImageReference) -> "ImageBody":
        """An image as its owner sees it."""
        return cls.model_validate(image.model_dump(include=set(cls.model_fields)))


class InlineImages:
    """The images of one body, as they are read: turns get references, the store gets `pictures`, each once."""

    def __init__(self) -> None:
        self._read: dict[str, Picture] = {}
        self._count = 0
        self.characters = 0
        """Of the body, that are images."""

    @property
    def pictures(self) -> tuple[Picture, ...]:
        """All that were read."""
        return tuple(self._read.values())

    def url(self, url: object, at: str) -> ImageReference:
        """Of a `data:` URL. Raises Unsupported for any other: nothing is fetched for a caller."""
        if not isinstance(url, str):
            raise Unsupported(at, f"{at} is missing: send the image as a data: URL.")
        begins = _DATA.match(url[:1000])
        if begins is None:
            raise Unsupported(at, f"{at} is no data: URL with base64: images at other URLs are not fetched here.")
        return self.base64(url[begins.end() :], at)

    def base64(self, text: str, at: str) -> ImageReference:
        """Of base64, with or without line breaks. Raises Unsupported where that is no image, or too large a one."""
        self._count += 1
        self.characters += len(text)
        if self._count > MOST_IN_CONTEXT:
            raise Unsupported(at, f"{at}: a conversation may have at most {MOST_IN_CONTEXT} images.")
        try:
            made = picture(_decoded(text, at))
        except (ImageTooLarge, UnreadableImage) as error:
            raise Unsupported(at, f"{at}: {error}") from error
        self._read.setdefault(made.reference.id, made)
        return made.reference


def _decoded(text: str, at: str) -> bytes:
    if len(text) > _LONGEST:
        raise ImageTooLarge(LARGEST_IMAGE, "bytes")
    try:
        return base64.b64decode(text.replace("\r", "").replace("\n", ""), validate=True)
    except (binascii.Error, ValueError) as error:
        raise Unsupported(at, f"{at} is not base64.") from error
