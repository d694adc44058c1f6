"""Dead letters as a terminal shows them, and as a pipe gets them."""

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from rich.console import Console
from rich.text import Text

from cli.cells import age, row, said
from cli.talking import printable

Letter = Mapping[str, Any]
"""A letter's JSON."""
_COLUMNS = (36, 4, 14, 18)
"""Cells: with two blanks between them 78 of 80."""
_NAMED = ("reason", "queue", "why", "subject", "owner", "trace_id", "correlation_id")


def as_table(console: Console, letters: Sequence[Letter], now: datetime) -> None:
    """Two lines each, of at most the terminal's width: what died, and why or what became of it."""
    console.print(Text(row(("ID", "AGE", "REASON", "MESSAGE"), _COLUMNS), style="bold"))
    for letter in letters:
        cells = (said(letter["id"]), age(letter["died_at"], now), said(letter["reason"]), name_of(letter["type"]))
        console.print(Text(row(cells, _COLUMNS)), soft_wrap=True)
        console.print(Text(f"  {_news(letter, now)}", style="dim"), no_wrap=True, overflow="ellipsis")


def as_lines(letters: Sequence[Letter]) -> str:
    """A line each, fields between tabs."""
    fields = ("id", "died_at", "status", "reason", "type", "attempts", "why")
    return "".join("\t".join(said(letter[field]) for field in fields) + "\n" for letter in letters)


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


def name_of(kind: object) -> str:
    """`net.ollamanet.internal.ReplyFailed.v1` → `ReplyFailed`."""
    parts = said(kind).split(".")
    return parts[-2] if len(parts) > 2 else parts[-1] or "unknown"


def attempts(letter: Letter) -> str:
    """How often it was tried."""
    count = int(letter["attempts"])
    return "never taken" if count == 0 else f"{count} attempt{'' if count == 1 else 's'}"


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


def _named(console: Console, name: str, value: str, width: int = 16) -> None:
    console.print(Text(f"{name:<{width}}", style="dim").append(value, style="not dim"), soft_wrap=True)


def _indented(body: str) -> str:
    try:
        return json.dumps(json.loads(body), indent=2, ensure_ascii=False)
    except (ValueError, RecursionError):
        return body
