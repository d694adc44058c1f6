"""Model servers as a terminal shows them, and as a pipe gets them."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from rich.console import Console
from rich.text import Text

from cli.cells import age, row, said

Server = Mapping[str, Any]
"""A back-end's JSON."""
_COLUMNS = (22, 6, 14, 8, 9, 9)
"""Cells: with two blanks between them 78 of 80."""
_NOW = ("closed", None)
"""Circuits that keep nothing from a server."""


def as_table(console: Console, servers: Sequence[Server], now: datetime) -> None:
    """Two lines each: how it stands, and where it is and why."""
    console.print(Text(row(("NAME", "KIND", "POOL", "STATE", "RUNNING", "FIRST"), _COLUMNS), style="bold"))
    for one in servers:
        health = one["health"]
        first = "" if health["ttft_ms"] is None else f"{health['ttft_ms']}ms"
        cells = (said(one["name"]), said(one["kind"]), said(one["pool"]), state(one), _running(one), first)
        console.print(Text(row(cells, _COLUMNS)), soft_wrap=True)
        console.print(Text(f"  {_news(one, now)}", style="dim"), no_wrap=True, overflow="ellipsis")


def as_lines(servers: Sequence[Server]) -> str:
    """A line each, fields between tabs."""
    return "".join("\t".join(_fields(one)) + "\n" for one in servers)


def state(one: Server) -> str:
    """In a word: `well`, `down` (it does not answer), `resting` (workers send nothing there for now), or `new` (nobody looked yet)."""
    health = one["health"]
    if health["healthy"] is None:
        return "new"
    if health["circuit"] not in _NOW:
        return "resting"
    return "well" if health["healthy"] else "down"


def looked_at(answer: Server) -> str:
    """What a look found that was answered."""
    count, version = int(answer["models"]), said(answer["version"])
    models = "1 model" if count == 1 else f"{count} models"
    told = f", version {version}" if version else ""
    return f"{said(answer['name'])} answers after {answer['latency_ms']} ms: {models}{told}"


def _fields(one: Server) -> tuple[str, ...]:
    health = one["health"]
    calls, most = sum(health["running"].values()), health["slots"]
    own = (one["name"], one["kind"], one["url"], one["pool"], one["slots"], one["source"])
    return (*map(said, own), state(one), str(calls), str(most), said(health["error"]))


def _running(one: Server) -> str:
    health = one["health"]
    return f"{sum(health['running'].values())}/{health['slots']}" if health["slots"] else "no worker"


def _news(one: Server, now: datetime) -> str:
    health = one["health"]
    loaded = ", ".join(said(model["name"]) for model in health["loaded"])
    failed = f"{health['failures']} of {health['calls']} calls failed" if health["failures"] else ""
    seen = f"seen {age(health['checked_at'], now)} ago" if health["checked_at"] else "not seen yet"
    told = (said(health["error"]), failed, f"loaded: {loaded}" if loaded else "", seen)
    return "; ".join((said(one["url"]), *(part for part in told if part)))
