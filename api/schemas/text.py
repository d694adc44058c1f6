"""What a body may hold at all: text that every server can read, and free JSON (a schema, tools) that each can pass on."""

from collections.abc import Iterator
from math import isfinite
from typing import Annotated

from pydantic import AfterValidator

DEEPEST = 32
"""Levels; real schemas have a dozen, and a model's server reads it recursively."""
LARGEST = 2**63
"""Whole numbers stay below it: in C and Go they are 64 bits."""


def _passes_on(value: dict[str, object]) -> dict[str, object]:
    for level, part in _parts(value):
        if level > DEEPEST:
            raise ValueError(f"should not be nested deeper than {DEEPEST} levels")
        if isinstance(part, str) and not _is_text(part):
            raise ValueError("should hold whole characters only")
        if isinstance(part, float) and not isfinite(part):
            raise ValueError("should hold finite numbers only")
        if isinstance(part, int) and not -LARGEST <= part < LARGEST:
            raise ValueError("should hold whole numbers of 64 bits only")
    return value


def _parts(value: object) -> Iterator[tuple[int, object]]:
    """Every name and value with its level; not recursive, and stopped by whoever has seen enough."""
    waiting: list[tuple[int, object]] = [(1, value)]
    while waiting:
        level, part = waiting.pop()
        yield level, part
        if isinstance(part, dict):
            for name, inner in part.items():  # pyright: ignore[reportUnknownVariableType]
                waiting += [(level, name), (level + 1, inner)]
        elif isinstance(part, list):
            waiting += [(level + 1, inner) for inner in part]  # pyright: ignore[reportUnknownVariableType]


def _whole(text: str) -> str:
    if not _is_text(text):
        raise ValueError("should hold whole characters only")
    return text


def _is_text(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


Text = Annotated[str, AfterValidator(_whole)]
"""Text that is in UTF-8: JSON may spell half a surrogate pair, which is not."""
FreeJson = Annotated[dict[str, object], AfterValidator(_passes_on)]
