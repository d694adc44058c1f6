"""Values as one cell or one document of what a command prints."""

import json
from datetime import UTC, datetime

from cli.talking import printable

_AGES = ((86_400, "d"), (3_600, "h"), (60, "m"))


def said(value: object) -> str:
    """A value as one line that steers no terminal."""
    return "" if value is None else " ".join(printable(str(value)).split())


def age(at: str, now: datetime) -> str:
    """How long ago that was, in its largest unit: `5s`, `12m`, `3h`, `40d`."""
    return span((now - datetime.fromisoformat(at)).total_seconds())


def span(seconds: float) -> str:
    """Seconds in their largest unit, rounded down; negative ones are none."""
    whole = max(0, int(seconds))
    size, unit = next((one for one in _AGES if whole >= one[0]), (1, "s"))
    return f"{whole // size}{unit}"


def row(cells: tuple[str, ...], sizes: tuple[int, ...]) -> str:
    """Cells side by side, two blanks between them; what is too long is cut, but for the first: an id is of use whole, or not at all."""
    sized = [cell if len(cell) <= size else cell[: size - 1] + "…" for cell, size in zip(cells, sizes, strict=True)]
    sized[0] = cells[0]
    return "  ".join(f"{cell:<{size}}" for cell, size in zip(sized, sizes, strict=True)).rstrip()


def json_of(value: object) -> str:
    """One JSON document; in ASCII, so that nothing in it steers a terminal."""
    return json.dumps(value, indent=2) + "\n"


def now() -> datetime:
    """This moment."""
    return datetime.now(UTC)
