"""What `ollamanet backends` does: through the HTTP API, as the administrator who is logged in."""

import sys
from collections.abc import Iterator, Mapping, Sequence
from getpass import getpass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from cli import servers_shown
from cli.cells import json_of, now, said
from cli.client import Client, Refused
from cli.servers_shown import Server
from cli.terminal import agreed, console, say
from cli.typed import typed
from infra.process.failures import CannotStart

PATH = "/api/admin/backends"
PAGE = 100
"""Servers on a page: the most that the platform gives."""
_OWN = (404, 409)
"""Refusals that are about one server and say nothing about the next one."""


def said_to(
    kind: str | None,
    url: str | None,
    pool: str | None,
    slots: int | None,
    tls_ca: Path | None,
    tls_verify: bool | None,
) -> dict[str, object]:
    """What of a server was said on the command line, as the platform takes it."""
    ca = _read(tls_ca) if tls_ca else None
    told = {"kind": kind, "url": url, "pool": pool, "slots": slots, "tls_ca": ca, "tls_verify": tls_verify}
    return {name: value for name, value in told.items() if value is not None}


def list_them(client: Client, as_json: bool) -> int:
    """All servers; the exit code."""
    unreadable: list[Server] = []
    servers = list(_servers(client, unreadable))
    for one in unreadable:
        sys.stderr.write(f"{said(one['name'])} is not shown: {said(one['error'])}\n")
    if as_json:
        sys.stdout.write(json_of(servers))
    elif not servers and not unreadable:
        say(f"There are no model servers: {typed('backends add NAME URL')} adds one.")
    elif not sys.stdout.isatty():
        sys.stdout.write(servers_shown.as_lines(servers))
    else:
        servers_shown.as_table(console(), servers, now())
    return 0


def add(client: Client, name: str, body: Mapping[str, object], ask: bool, from_stdin: bool, as_json: bool) -> int:
    """A new server; the exit code."""
    key = _key(name, ask, from_stdin)
    server = client.post(PATH, {"name": name, **body, **key}).json()
    if as_json:
        sys.stdout.write(json_of(server))
        return 0
    sys.stdout.write(f"added {said(server['name'])}\n")
    sys.stdout.flush()
    say(f"Whether it answers: {typed('backends test')} {said(server['name'])}")
    return 0


def change(client: Client, name: str, body: Mapping[str, object], ask: bool, from_stdin: bool, as_json: bool) -> int:
    """Change one server; the exit code."""
    if "api_key" in body and (ask or from_stdin):
        raise CannotStart("Either it needs an API key (--ask-api-key, --api-key-stdin) or none (--no-api-key).")
    changes = {**body, **_key(name, ask, from_stdin)}
    if not changes:
        raise CannotStart(f"Say what is to change: {typed('backends change --help')}")
    try:
        server = client.patch(_at(name), changes)
    except Refused as refused:
        raise _of_server(name, refused) from refused
    sys.stdout.write(json_of(server) if as_json else f"changed {said(server['name'])}\n")
    return 0


def test(client: Client, names: Sequence[str], as_json: bool) -> int:
    """Have these looked at. The exit code: 1 where one of them does not answer, or is none."""
    answers: list[Server] = []
    for name in dict.fromkeys(names):
        answers.append(_tested(client, name))
        if not as_json:
            _tell_test(answers[-1])
    if as_json:
        sys.stdout.write(json_of(answers))
    return 0 if all(one["reachable"] for one in answers) else 1


def remove(client: Client, names: Sequence[str], yes: bool, as_json: bool) -> int:
    """Remove these. The exit code: 1 where one of them could not be."""
    wanted = list(dict.fromkeys(names))
    called, there = (said(wanted[0]), "there") if len(wanted) == 1 else (f"{len(wanted)} model servers", "to them")
    if not yes and not agreed(f"Remove {called}? Nothing more is sent {there}."):
        return 1
    answers: list[Server] = []
    for name in wanted:
        answers.append(_removed(client, name))
        if not as_json:
            _tell_removal(answers[-1])
    if as_json:
        sys.stdout.write(json_of(answers))
    return 0 if all(one["removed"] for one in answers) else 1


def _servers(client: Client, unreadable: list[Server]) -> Iterator[dict[str, Any]]:
    """By name, page by page; `unreadable` gets those that cannot be shown."""
    for page in client.pages(PATH, {"limit": PAGE}):
        yield from page["items"]
        unreadable += page["unreadable"]


def _at(name: str) -> str:
    return f"{PATH}/{quote(name, safe='')}"


def _key(name: str, ask: bool, from_stdin: bool) -> dict[str, object]:
    """Its API key, where one is to be given."""
    if ask and from_stdin:
        raise CannotStart("Say --ask-api-key or --api-key-stdin, not both.")
    if not ask and not from_stdin:
        return {}
    key = sys.stdin.readline().strip() if from_stdin else getpass(f"API key of {said(name)}: ").strip()
    if not key:
        raise CannotStart("No API key was given.")
    return {"api_key": key}


def _read(file: Path) -> str:
    try:
        return file.read_text("ascii")
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is no text"
        raise CannotStart(f"--tls-ca names {file}, which cannot be read: {why}.") from error


def _tested(client: Client, name: str) -> Server:
    try:
        return {"name": name, **client.post(f"{_at(name)}/test").json()}
    except Refused as refused:
        if refused.status not in _OWN:
            raise
        return {"name": name, "reachable": False, "error": str(_of_server(name, refused))}


def _removed(client: Client, name: str) -> Server:
    try:
        client.delete(_at(name))
    except Refused as refused:
        if refused.status not in _OWN:
            raise
        error = {"status": refused.status, "code": refused.code, "detail": str(_of_server(name, refused))}
        return {"name": name, "removed": False, "error": error}
    return {"name": name, "removed": True, "error": None}


def _tell_test(answer: Server) -> None:
    if answer["reachable"]:
        sys.stdout.write(servers_shown.looked_at(answer) + "\n")
        sys.stdout.flush()
    else:
        name, error = said(answer["name"]), said(answer["error"])
        sys.stderr.write((error if error.startswith(f"{name} ") else f"{name}: {error}") + "\n")


def _tell_removal(answer: Server) -> None:
    name, error = said(answer["name"]), answer["error"]
    if error:
        sys.stderr.write(f"not removed {name}: {said(error['detail'])}\n")
    else:
        sys.stdout.write(f"removed {name}\n")
        sys.stdout.flush()


def _of_server(name: str, refused: Refused) -> Refused:
    if refused.status != 404:
        return refused
    sentence = f"There is no model server {said(name)}: {typed('backends list')} shows those there are."
    return Refused(refused.code, sentence, refused.status)
