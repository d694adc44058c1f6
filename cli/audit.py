"""`ollamanet audit`: who ordered what, and what came of it."""

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from itertools import islice
from typing import Any

from rich.console import Console
from rich.text import Text

from cli.cells import age, json_of, now, row, said
from cli.client import Client
from cli.terminal import console, say
from cli.typed import typed

PATH = "/api/admin/audit"
PAGE = 100
"""Entries on a page: the most that the platform gives."""
_COLUMNS = (18, 40, 4, 9)
"""Cells: with two blanks between them 77 of 80."""
_UNSAID = ("idempotency",)
"""Details that tell people nothing."""

Entry = Mapping[str, Any]
"""An entry's JSON."""


def list_them(client: Client, asked: Mapping[str, str | None], limit: int, as_json: bool) -> int:
    """The newest entries first: of that actor, action and subject (None: any). The exit code."""
    found = list(islice(_entries(client, asked, min(limit + 1, PAGE)), limit + 1))
    entries, more = found[:limit], len(found) > limit
    if as_json:
        sys.stdout.write(json_of(entries))
    elif not entries:
        say("Nothing of that kind was ordered.")
    elif not sys.stdout.isatty():
        sys.stdout.write("".join("\t".join(_fields(one)) + "\n" for one in entries))
    else:
        _as_table(console(), entries, now())
        if more:
            say(f"There are more: {typed('audit --limit')} {limit * 10}")
    return 0


def _entries(client: Client, asked: Mapping[str, str | None], page: int) -> Iterator[dict[str, Any]]:
    """Page by page."""
    return client.items(PATH, {"limit": page, **asked})


def _as_table(out: Console, entries: Sequence[Entry], at: datetime) -> None:
    """Two lines each: what was ordered, and by whom and how."""
    out.print(Text(row(("ACTION", "SUBJECT", "AGE", "OUTCOME"), _COLUMNS), style="bold"))
    for one in entries:
        cells = (said(one["action"]), said(one["subject"]), age(one["at"], at), said(one["outcome"]))
        out.print(Text(row(cells, _COLUMNS)), no_wrap=True, overflow="ellipsis")
        out.print(Text(f"  {_news(one)}", style="dim"), no_wrap=True, overflow="ellipsis")


def _fields(one: Entry) -> tuple[str, ...]:
    error = one["error"]["code"] if one["error"] else None
    own = ("id", "at", "actor", "actor_email", "action", "subject", "outcome")
    return (*(said(one[name]) for name in own), said(error), said(json.dumps(one["details"])))


def _news(one: Entry) -> str:
    who = f"by {said(one['actor_email'] or one['actor'])}"
    error = f"{said(one['error']['code'])}: {said(one['error']['message'])}" if one["error"] else ""
    told = {name: value for name, value in one["details"].items() if value is not None and name not in _UNSAID}
    details = " ".join(f"{said(name)}={said(value)}" for name, value in told.items())
    return "; ".join(part for part in (who, error, details) if part)
