"""An administrator's command from its order to its end: sent once, followed, and told how it ended."""

import json
import sys
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from rich.filesize import decimal

from cli import progress
from cli.cells import json_of, said
from cli.client import Client, Unreachable
from cli.endings import INTERRUPTED
from cli.sse import Event
from cli.terminal import say
from cli.typed import typed

PATH = "/api/admin/commands"
Command = Mapping[str, Any]
"""A command's JSON."""
Told = Callable[[Command, int], str]
"""The sentence for a command that completed, and the bytes that it fetched; empty: nothing is to be said."""

_DONE = {
    "PullModel": "{model} is on {where}",
    "CreateModel": "{model} is made on {where}",
    "CopyModel": "{model} is copied on {where}",
    "TagModel": "{model} is tagged",
    "DescribeModel": "{model} is described",
    "VerifyModel": "{model} works on {where}",
    "RetireModel": "{model} is changed",
    "AliasModel": "the alias of {model} is changed",
    "DeleteModel": "{model} is deleted from {where}",
}


def carried_out(
    client: Client,
    accepted: Command,
    detach: bool,
    as_json: bool,
    told: Told | None = None,
    shown: Callable[[Command], None] | None = None,
) -> int:
    """Follow what was accepted to its end, unless `detach`. `shown`: prints what it found out. The exit code."""
    command_id = said(accepted["id"])
    if detach:
        sys.stdout.write(json_of(accepted) if as_json else f"{command_id}\n")
        sys.stdout.flush()
        if not as_json:
            say(_ways(command_id))
        return 0

    def ended(command: Command, size: int) -> int:
        if shown is not None and not as_json:
            shown(command)
        return conclude(command, size, as_json, told, quiet=shown is not None)

    return watched(client, command_id, ended)


def watched(client: Client, command_id: str, conclude: Callable[[Command, int], int]) -> int:
    """Show a command's progress until its end. The exit code: `conclude`'s, or 130 at Ctrl-C, which leaves it running."""
    sizes: dict[str, int] = {}
    try:
        with progress.shown() as bars:
            for event in client.follow_at(f"{PATH}/{command_id}/stream"):
                if event.name == "progress":
                    _measure(sizes, event)
                    bars.see(event)
        return conclude(client.get(f"{PATH}/{command_id}"), max(sizes.values(), default=0))
    except KeyboardInterrupt:
        sys.stderr.write(f"Still running: {_ways(command_id)}\n")
        return INTERRUPTED
    except Unreachable:
        sys.stderr.write(f"It goes on without us: {_ways(command_id)}\n")
        raise


def events_of(client: Client, command_id: str) -> int:
    """A command's events as JSON, a line each. The exit code: 0 where it completed."""
    name = ""
    try:
        for event in client.follow_at(f"{PATH}/{command_id}/stream"):
            name = event.name
            sys.stdout.write(json.dumps({"id": event.id, "event": name, "data": event.data}) + "\n")
            sys.stdout.flush()
    except KeyboardInterrupt:
        sys.stderr.write(f"Still running: {_ways(command_id)}\n")
        return INTERRUPTED
    return 0 if name == "completed" else 1


def conclude(command: Command, size: int, as_json: bool, told: Told | None = None, *, quiet: bool = False) -> int:
    """Tell how it ended; `quiet`: what is well was told already. The exit code: 0 where it completed."""
    completed = command["status"] == "completed"
    if as_json:
        sys.stdout.write(json_of(command))
    elif completed and quiet:
        pass
    elif completed:
        sys.stdout.write(f"{(told or done)(command, size)}\n")
    else:
        sys.stderr.write(f"{_not_done(command)}\n")
    return 0 if completed else 1


def done(command: Command, size: int = 0) -> str:
    """That it is done, where, and how much that was in which time."""
    template = _DONE.get(str(command["kind"]), "{model}: done")
    sentence = template.format(model=said(command["model"]), where=where(command))
    return f"{sentence}{_figures(command, size)}."


def where(command: Command) -> str:
    """The back-ends that did it."""
    return ", ".join(said(one) for one, result in sorted(command["results"].items()) if not result["error"])


def _not_done(command: Command) -> str:
    what = f"{said(command['kind'])} of {said(command['model'])}"
    if command["status"] == "cancelled":
        return f"{what} was cancelled."
    if not command["error"]:
        return f"{what} is {said(command['status'])}."
    partly = f" Done on {where(command)}." if where(command) else ""
    return f"{what} failed ({said(command['error']['code'])}): {said(command['error']['message'])}{partly}"


def _figures(command: Command, size: int) -> str:
    if not size or not command["started_at"] or not command["ended_at"]:
        return ""
    took = datetime.fromisoformat(command["ended_at"]) - datetime.fromisoformat(command["started_at"])
    return f" ({decimal(size)} in {max(1, round(took.total_seconds()))} s)"


def _measure(sizes: dict[str, int], event: Event) -> None:
    total = event.data.get("all_total")
    if isinstance(total, int):
        backend = event.text("backend")
        sizes[backend] = max(sizes.get(backend, 0), total)


def _ways(command_id: str) -> str:
    return f"{typed('commands follow')} {command_id} · stop it: {typed('commands cancel')} {command_id}"
