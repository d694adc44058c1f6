"""Dead letters as a terminal shows them, and as a pipe gets them."""

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from rich.console import Console
from rich.text import Text

from cli.talking import printable

Letter = Mapping[str, Any]
"""A letter's JSON."""
_COLUMNS = (36, 4, 14, 18)
"""Cells: with two blanks between them 78 of 80."""
_AGES = ((86_400, "d"), (3_600, "h"), (60, "m"))
_NAMED = ("reason", "queue", "why", "subject", "owner", "trace_id", "correlation_id")


def as_table(console: Console, letters: Sequence[Letter], now: datetime) -> None:
    """Two lines each, of at most the terminal's width: what died, and why or what became of it."""
    console.print(Text(_row("ID", "AGE", "REASON", "MESSAGE"), style="bold"))
    for letter in letters:
        row = _row(said(letter["id"]), age(letter["died_at"], now), said(letter["reason"]), name_of(letter["type"]))
        console.print(Text(row), soft_wrap=True)
        console.print(Text(f"  {_news(letter, now)}", style="dim"), no_wrap=True, overflow="ellipsis")


def as_lines(letters: Sequence[Letter]) -> str:
    """A line each, fields between tabs."""
    fields = ("id", "died_at", "status", "reason", "type", "attempts", "why")
    return "".join("\t".join(said(letter[field]) for field in fields) + "\n" for letter in letters)


def as_json(value: object) -> str:
    """One JSON document; in ASCII, so that nothing in it steers a terminal."""
    return json.dumps(value, indent=2) + "\n"


def whole(console: Console, letter: Letter, now: datetime) -> None:
    """Everything about one letter."""
    _named(console, "id", said(letter["id"]))
    _named(console, "status", _status(letter, now))
    _named(console, "message", _message(letter))
    _named(console, "died", f"{age(letter['died_at'], now)} ago, {said(letter['died_at'])}, {attempts(letter)}")
    for field in _NAMED:
        if letter[field]:
            _named(console, field.replace("_", " "), said(letter[field]))
    if letter["attributes"]:
        console.print("\n[bold]attributes[/bold]")
    for name, value in letter["attributes"].items():
        _named(console, f"  {said(name)}", said(value), 20)
    console.print("\n[bold]body[/bold]")
    console.print(Text(printable(_indented(str(letter["body"])))), soft_wrap=True)


def age(at: str, now: datetime) -> str:
    """How long ago that was, in its largest unit: `5s`, `12m`, `3h`, `40d`."""
    seconds = max(0, int((now - datetime.fromisoformat(at)).total_seconds()))
    size, unit = next((one for one in _AGES if seconds >= one[0]), (1, "s"))
    return f"{seconds // size}{unit}"


def name_of(kind: object) -> str:
    """`net.ollamanet.internal.ReplyFailed.v1` → `ReplyFailed`."""
    parts = said(kind).split(".")
    return parts[-2] if len(parts) > 2 else parts[-1] or "unknown"


def attempts(letter: Letter) -> str:
    """How often it was tried."""
    count = int(letter["attempts"])
    return "never taken" if count == 0 else f"{count} attempt{'' if count == 1 else 's'}"


def said(value: object) -> str:
    """A value as one line that steers no terminal."""
    return "" if value is None else " ".join(printable(str(value)).split())


def _news(letter: Letter, now: datetime) -> str:
    if letter["status"] != "waiting":
        return _status(letter, now)
    return "; ".join(one for one in (attempts(letter), said(letter["why"])) if one)


def _status(letter: Letter, now: datetime) -> str:
    status = said(letter["status"])
    if not letter["decided_at"] or status == "waiting":
        return status
    generation = f" as {said(letter['replayed_as'])}" if letter["replayed_as"] else ""
    return f"{status} {age(letter['decided_at'], now)} ago{generation}"


def _message(letter: Letter) -> str:
    kind = said(letter["type"])
    return f"{name_of(kind)} ({kind})" if kind else name_of(kind)


def _row(*cells: str) -> str:
    sized = [cell if len(cell) <= size else cell[: size - 1] + "…" for cell, size in zip(cells, _COLUMNS, strict=True)]
    sized[0] = cells[0]  # an id is of use whole, or not at all
    return "  ".join(f"{cell:<{size}}" for cell, size in zip(sized, _COLUMNS, strict=True)).rstrip()


def _named(console: Console, name: str, value: str, width: int = 16) -> None:
    console.print(Text(f"{name:<{width}}", style="dim").append(value, style="not dim"), soft_wrap=True)


def _indented(body: str) -> str:
    try:
        return json.dumps(json.loads(body), indent=2, ensure_ascii=False)
    except (ValueError, RecursionError):
        return body


def now() -> datetime:
    """This moment."""
    return datetime.now(UTC)
