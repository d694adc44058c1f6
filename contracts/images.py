"""Pictures that people ask with. On the bus, in logs and in messages they are references; their bytes stay in the store."""

import uuid
from datetime import datetime
from hashlib import sha256
from typing import Literal, get_args

from contracts.value import Value

ImageKind = Literal["image/png", "image/jpeg", "image/webp", "image/gif"]
IMAGE_KINDS: tuple[ImageKind, ...] = get_args(ImageKind)
LARGEST_IMAGE = 5 * 1024 * 1024
"""Bytes of one: with what is written beside it, it stays one document of MongoDB, which has 16 MiB at most."""
MOST_PIXELS = 50_000_000
"""Of one, by its own header: more is what a small file claims in order to fill the memory of whoever decodes it."""
MOST_IN_QUESTION = 8
MOST_IN_CONTEXT = 32
"""Images that a model is sent at once."""
MOST_CONTEXT_BYTES = MOST_IN_QUESTION * LARGEST_IMAGE
"""Of these images together: a worker holds them in memory while it sends them."""
IMAGE_TOKENS = 1000
"""What an image counts as in a context. Models differ from 256 (Gemma 3) to some thousands (Qwen-VL, of a large picture)."""
IMAGE_MISSING = "image_missing"
"""The code of a reply that failed because an image was deleted before a model could be sent it."""

_IMAGES = uuid.UUID("b1b5f4f5-31f1-5a5c-8f0e-6d1d6a4f6a0c")


class ImageReference(Value):
    """An image as messages carry it; whose it is, the message says."""

    id: str
    media_type: ImageKind
    size: int
    """Bytes."""
    width: int
    height: int


class Image(ImageReference):
    """An image that is kept. `media_type`, `width` and `height` are what its bytes say, whatever its sender said."""

    owner: str
    sha256: str
    created_at: datetime

    @property
    def reference(self) -> ImageReference:
        """It as messages carry it."""
        return ImageReference.model_validate(self.model_dump(include=set(ImageReference.model_fields)))


def image_id(content: bytes) -> str:
    """The id of these bytes, made of them alone: clients send a conversation's pictures again with each question, and the same
    picture is kept once and the same request stays the same. Each person has images of their own, so nothing is told of others'."""
    return str(uuid.uuid5(_IMAGES, sha256(content).hexdigest()))
