"""A page of Explore: which models somebody wants to see, in which order, and where the page before ended."""

import base64
import binascii
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

import orjson

from api.errors import BadCursor
from api.explore import Choice, Status, context_length_of, description_of, status_of
from contracts.records import Model

Sort = Literal[
    "name", "-name", "updated_at", "-updated_at", "verified_at", "-verified_at", "size", "-size", "context", "-context"
]
Key = str | int | None
"""What a list is ordered by; None, where nobody tells, comes last either way."""

_AFTER = "model>"
"""What cursors of this list begin with."""
_EPOCH = datetime.fromtimestamp(0, UTC)
_MOST = (1 << 63) - 1
"""The greatest number that a cursor holds; a back-end may tell a greater one."""


@dataclass(frozen=True)
class Wanted:
    """Which models, in which order. All words, tags and capabilities must match. Retired ones only where they are asked for."""

    words: str = ""
    tags: tuple[str, ...] = ()
    capabilities: tuple[str, ...] = ()
    status: Status | None = None
    backend: str | None = None
    retired: bool = False
    sort: Sort = "name"

    def page(self, choices: Iterable[Choice], limit: int, cursor: str | None) -> tuple[Sequence[Choice], str | None]:
        """The choices after the cursor, and the next one. Raises BadCursor for one that is not of this list in this order."""
        name, descending = self.sort.removeprefix("-"), self.sort.startswith("-")
        ordered_by = KEYS[name]

        def place(choice: Choice) -> tuple[Any, ...]:
            return _place(ordered_by(choice.shown), choice.shown.name, descending=descending)

        found = sorted((one for one in choices if self._matches(one.shown)), key=place)
        if cursor is not None:
            after = _place(*_read(cursor, self.sort), descending=descending)
            found = [one for one in found if place(one) > after]
        if len(found) <= limit:
            return found, None
        last = found[limit - 1].shown
        return found[:limit], _cursor(self.sort, ordered_by(last), last.name)

    def _matches(self, model: Model) -> bool:
        status = status_of(model)
        shown = status == self.status if self.status else (self.retired or status != "retired")
        return (
            shown
            and (self.backend is None or any(one.backend == self.backend for one in model.served_by))
            and set(self.tags) <= set(model.tags)
            and set(self.capabilities) <= set(model.known.capabilities if model.known else ())
            and self._speaks_of(model)
        )

    def _speaks_of(self, model: Model) -> bool:
        text = f"{model.name} {description_of(model)}".lower()
        return all(word in text for word in self.words.lower().split())


def tag_counts(models: Iterable[Model]) -> Sequence[tuple[str, int]]:
    """Each tag and how many models have it, retired ones left out: the most first, then by name."""
    counts = Counter(tag for one in models if not one.retired for tag in set(one.tags))
    return sorted(counts.items(), key=lambda one: (-one[1], one[0]))


def _moment(at: datetime | None) -> int | None:
    return None if at is None else (at - _EPOCH) // timedelta(microseconds=1)


def _size(model: Model) -> int | None:
    size = model.known.size_bytes if model.known else None
    return None if size is None else max(-_MOST, min(_MOST, size))


def _context(model: Model) -> int | None:
    length = context_length_of(model) or (model.known.context_length if model.known else None)
    return None if length is None else max(-_MOST, min(_MOST, length))


KEYS: Mapping[str, Callable[[Model], Key]] = {
    "name": lambda model: model.name,
    "updated_at": lambda model: _moment(model.updated_at),
    "verified_at": lambda model: _moment(model.verified_at),
    "size": _size,
    "context": _context,
}


def _place(value: Key, name: str, *, descending: bool) -> tuple[Any, ...]:
    """Where something stands in the list: by its value, then by its name."""
    if value is None:
        return (1,), name
    if not descending:
        return (0, value), name
    return (0, (*tuple(-ord(one) for one in value), 1) if isinstance(value, str) else -value), name


def _cursor(sort: Sort, value: Key, name: str) -> str:
    return base64.urlsafe_b64encode(_AFTER.encode() + orjson.dumps([sort, value, name])).decode()


def _read(cursor: str, sort: Sort) -> tuple[Key, str]:
    """Value and name of the last one before. Raises BadCursor where it is not of a list in this order."""
    try:
        made = base64.b64decode(cursor.encode(), altchars=b"-_", validate=True)
        of, value, name = orjson.loads(made.removeprefix(_AFTER.encode()))
    except (ValueError, TypeError, binascii.Error) as error:
        raise BadCursor from error
    kinds = (str,) if sort.removeprefix("-") == "name" else (int, type(None))
    if of != sort or type(value) not in kinds or not isinstance(name, str) or _cursor(sort, value, name) != cursor:
        raise BadCursor
    return value, name
