"""What `ollamanet commands` does: through the HTTP API, as the administrator who is logged in."""

import sys
from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Any
from urllib.parse import quote

from rich.console import Console
from rich.text import Text

from cli.cells import age, json_of, now, row, said
from cli.client import Client
from cli.ordering import PATH, Command, conclude, events_of, watched
from cli.terminal import console, say

PAGE = 100
"""Commands on a page: the most that the platform gives."""
_COLUMNS = (36, 13, 4, 9, 8)
"""Cells: with two blanks between them 78 of 80."""


def list_them(client: Client, asked: Mapping[str, str | None], limit: int, as_json: bool) -> int:
    """The newest commands first. The exit code."""
    found = list(islice(_commands(client, asked, min(limit, PAGE)), limit))
    if as_json:
        sys.stdout.write(json_of(found))
    elif not found:
        say("Nothing of that kind was ordered.")
    elif not sys.stdout.isatty():
        sys.stdout.write("".join("\t".join(_fields(one)) + "\n" for one in found))
    else:
        _as_table(console(), found)
    return 0


def show(client: Client, command_id: str, as_json: bool) -> int:
    """Everything about one. The exit code."""
    command = client.get(_at(command_id))
    if as_json:
        sys.stdout.write(json_of(command))
        return 0
    for name in ("id", "kind", "model", "status", "asked_by", "asked_at", "started_at", "ended_at"):
        _line(name.replace("_", " "), said(command[name]))
    _line("on", ", ".join(map(said, command["targets"])))
    _line("error", _error(command))
    for one in command["progress"]["backends"] if command["progress"] else ():
        if one["backend"] not in command["results"]:
            _line(said(one["backend"]), said(one["status"]))
    for target, result in sorted(command["results"].items()):
        _line(said(target), _error(result) or "done")
    return 0


def follow(client: Client, command_id: str, as_json: bool) -> int:
    """Its progress until its end. The exit code."""
    at = quote(command_id, safe="")
    return events_of(client, at) if as_json else watched(client, at, lambda end, size: conclude(end, size, False))


def cancel(client: Client, command_id: str, as_json: bool) -> int:
    """Stop it. The exit code: 1 where it had ended otherwise."""
    command = client.post(f"{_at(command_id)}/cancel").json()
    ended = command["status"] in ("completed", "failed")
    if as_json:
        sys.stdout.write(json_of(command))
    elif ended:
        sys.stderr.write(f"It had ended: {said(command['status'])}.\n")
    else:
        sys.stdout.write(f"cancelled {said(command['id'])}\n")
    return 1 if ended else 0


def _commands(client: Client, asked: Mapping[str, str | None], page: int) -> Iterator[dict[str, Any]]:
    """Page by page."""
    return client.items(PATH, {"limit": page, **asked})


def _as_table(out: Console, found: list[dict[str, Any]]) -> None:
    """Two lines each: what and how it stands; of which model, where and why."""
    out.print(Text(row(("ID", "KIND", "AGE", "STATUS", "DONE"), _COLUMNS), style="bold"), no_wrap=True)
    at = now()
    for one in found:
        share = f"{len(one['results'])}/{len(one['targets'])}" if one["targets"] else ""
        cells = (said(one["id"]), said(one["kind"]), age(one["asked_at"], at), said(one["status"]), share)
        out.print(Text(row(cells, _COLUMNS)), soft_wrap=True)
        news = "; ".join(
            part for part in (said(one["model"]), ", ".join(map(said, one["targets"])), _error(one)) if part
        )
        out.print(Text(f"  {news}", style="dim"), no_wrap=True, overflow="ellipsis")


def _fields(one: Command) -> tuple[str, ...]:
    own = ("id", "asked_at", "kind", "model", "status")
    return (*(said(one[name]) for name in own), ",".join(map(said, one["targets"])), _error(one))


def _error(one: Mapping[str, Any]) -> str:
    error = one["error"]
    return f"{said(error['code'])}: {said(error['message'])}" if error else ""


def _line(name: str, value: str) -> None:
    if value:
        sys.stdout.write(f"{name:<11}  {value}\n")


def _at(command_id: str) -> str:
    return f"{PATH}/{quote(command_id, safe='')}"
