"""Texts as vectors, packed as they travel, and what else may come of asking for them."""

import sys
from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

MOST_TEXTS = 2048
"""Of one call; OpenAI takes as many."""
MOST_DIMENSIONS = 65_536
MOST_VALUES = 4 * 1024 * 1024
"""Numbers of one result, all its vectors together (16 MiB); what has more is a told failure."""
VALUE_BYTES = 4

CANNOT_EMBED = "model_cannot_embed"
DIMENSIONS = "dimensions_unsupported"
TOO_LARGE = "embeddings_too_large"
FAILURE_CODES = (CANNOT_EMBED, DIMENSIONS, TOO_LARGE)
"""Beside those of a generation."""


@dataclass(frozen=True)
class Vectors:
    """Of some texts, in their order, all of `dimensions` numbers. `packed`: the numbers, little-endian float32, without gaps.

    input_tokens: of all texts, as the back-end counted them. load_ms: loading the model.
    """

    packed: bytes
    dimensions: int
    input_tokens: int = 0
    load_ms: int = 0

    def __len__(self) -> int:
        return len(self.packed) // (self.dimensions * VALUE_BYTES)

    def __iter__(self) -> Iterator[bytes]:
        """Each vector, packed."""
        size = self.dimensions * VALUE_BYTES
        return (self.packed[at : at + size] for at in range(0, len(self.packed), size))


@dataclass(frozen=True)
class NotEmbedded:
    """Why there are none. `code`: of these FAILURE_CODES or a generation's. `retryable`: another call may succeed."""

    code: str
    message: str
    retryable: bool


EmbeddingResult = Vectors | NotEmbedded


def packed(vector: Sequence[float]) -> bytes:
    """Little-endian float32; what is too large for one becomes infinite."""
    return _little(array("f", vector)).tobytes()


def unpacked(raw: bytes) -> list[float]:
    """The numbers again."""
    numbers = array("f")
    numbers.frombytes(raw)
    return _little(numbers).tolist()


def _little(numbers: "array[float]") -> "array[float]":
    if sys.byteorder == "big":
        numbers.byteswap()
    return numbers
