"""The vectors of the fake back-end: made of the text alone, of length one, and how both protocols tell them."""

import base64
import math
from array import array
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import shake_128
from typing import Self

DIMENSIONS = 64
"""Unless fewer are asked for."""


@dataclass(frozen=True)
class Wanted:
    """What a call asks for."""

    model: str
    texts: tuple[str, ...]
    dimensions: int = DIMENSIONS
    base64: bool = False

    @classmethod
    def of(cls, model: str, body: Mapping[str, object]) -> Self:
        """Of a body of either protocol."""
        given, dimensions = body.get("input"), body.get("dimensions")
        texts = (given,) if isinstance(given, str) else tuple(map(str, given)) if isinstance(given, list) else ()
        size = min(dimensions, DIMENSIONS) if isinstance(dimensions, int) else DIMENSIONS
        return cls(model, texts, size, body.get("encoding_format") == "base64")

    @property
    def tokens(self) -> int:
        """Words, of all texts."""
        return sum(len(one.split()) for one in self.texts)


def vector(text: str, dimensions: int = DIMENSIONS) -> list[float]:
    """The same text has the same vector, and its beginning is the shorter one."""
    numbers = [byte - 127.5 for byte in shake_128(text.encode()).digest(dimensions)]
    length = math.sqrt(sum(one * one for one in numbers))
    return array("f", (one / length for one in numbers)).tolist()


def ollama_answer(wanted: Wanted) -> dict[str, object]:
    """As `/api/embed` answers."""
    told = {"total_duration": 2_000_000, "load_duration": 1_000_000, "prompt_eval_count": wanted.tokens}
    return {"model": wanted.model, "embeddings": [vector(one, wanted.dimensions) for one in wanted.texts], **told}


def openai_answer(wanted: Wanted) -> dict[str, object]:
    """As `/v1/embeddings` answers."""
    data = [
        {"object": "embedding", "index": number, "embedding": _encoded(vector(one, wanted.dimensions), wanted)}
        for number, one in enumerate(wanted.texts)
    ]
    usage = {"prompt_tokens": wanted.tokens, "total_tokens": wanted.tokens}
    return {"object": "list", "data": data, "model": wanted.model, "usage": usage}


def _encoded(numbers: list[float], wanted: Wanted) -> object:
    return base64.b64encode(array("f", numbers).tobytes()).decode() if wanted.base64 else numbers
