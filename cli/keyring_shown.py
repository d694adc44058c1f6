"""API keys as a terminal shows them, and as a pipe gets them."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from rich.console import Console
from rich.text import Text

from cli.cells import age, row, said, span

Key = Mapping[str, Any]
"""A key's JSON."""
_COLUMNS = (36, 12, 10, 14)
"""Cells: with two blanks between them 78 of 80."""


def as_table(console: Console, keys: Sequence[Key], now: datetime) -> None:
    """Two lines each: what it is, and when it was used."""
    console.print(Text(row(("ID", "SECRET", "SCOPES", "MADE"), _COLUMNS), style="bold"))
    for key in keys:
        cells = (said(key["id"]), f"{said(key['prefix'])}…", _scopes(key, ", "), f"{age(key['created_at'], now)} ago")
        console.print(Text(row(cells, _COLUMNS)), soft_wrap=True)
        console.print(Text(f"  {_news(key, now)}; {said(key['name'])}", style="dim"), no_wrap=True, overflow="ellipsis")


def as_lines(keys: Sequence[Key]) -> str:
    """A line each, fields between tabs."""
    return "".join(_line(key) + "\n" for key in keys)


def _line(key: Key) -> str:
    times = (said(key[field]) for field in ("created_at", "last_used_at", "expires_at"))
    return "\t".join((said(key["id"]), said(key["prefix"]), _scopes(key, ","), *times, said(key["name"])))


def _news(key: Key, now: datetime) -> str:
    used = f"used {age(key['last_used_at'], now)} ago" if key["last_used_at"] else "never used"
    if not key["expires_at"]:
        return used
    left = (datetime.fromisoformat(key["expires_at"]) - now).total_seconds()
    return f"{used}, {f'expires in {span(left)}' if left > 0 else f'expired {span(-left)} ago'}"


def _scopes(key: Key, between: str) -> str:
    return between.join(said(one) for one in key["scopes"])
