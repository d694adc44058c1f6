"""What `ollamanet models` does: through the HTTP API, as the person who is logged in."""

import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

from cli import models_shown
from cli.cells import json_of, said
from cli.client import Client, Refused
from cli.ordering import Command, Told, carried_out, where
from cli.terminal import agreed, console, say
from cli.typed import typed
from infra.process.failures import CannotStart

PATH = "/api/admin/models"
ALIASES = "/api/admin/aliases"
PAGE = 100
"""Models on a page: the most that the platform gives."""
LONGEST_MODELFILE = 64 * 1024
"""Characters: the most that the platform takes."""


def list_them(client: Client, asked: Mapping[str, object], as_json: bool) -> int:
    """Models and aliases; the exit code."""
    found = list(_models(client, asked))
    if as_json:
        sys.stdout.write(json_of(found))
    elif not found:
        say(f"There is no such model: {typed('models pull NAME')} adds one.")
    elif not sys.stdout.isatty():
        sys.stdout.write(models_shown.as_lines(found))
    else:
        models_shown.as_table(console(), found)
    return 0


def show(client: Client, name: str, as_json: bool) -> int:
    """One model; the exit code."""
    try:
        model = client.get(f"/api/models/{quote(name, safe='')}")
    except Refused as refused:
        raise _of_model(name, refused) from refused
    if as_json:
        sys.stdout.write(json_of(model))
    else:
        models_shown.whole(console(), model)
    return 0


def add(client: Client, body: Mapping[str, object], detach: bool, as_json: bool) -> int:
    """Have a model fetched or made; the exit code."""
    said_ones = {name: value for name, value in body.items() if value is not None}
    return carried_out(client, client.order("POST", PATH, said_ones), detach, as_json)


def read(file: str) -> str:
    """A Modelfile's text."""
    try:
        with nullcontext(sys.stdin) if file == "-" else Path(file).open(encoding="utf-8") as source:
            text = source.read(LONGEST_MODELFILE + 1)
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is no text"
        raise CannotStart(f"--file names {file}, which cannot be read: {why}.") from error
    if len(text) > LONGEST_MODELFILE:
        raise CannotStart(f"{file} is longer than {LONGEST_MODELFILE // 1024} KiB.")
    return text


def tag(client: Client, name: str, tags: Sequence[str], clear: bool, detach: bool, as_json: bool) -> int:
    """Set its tags; the exit code."""
    if bool(tags) == clear:
        raise CannotStart("Say the tags that it is to have, or --clear for none.")
    accepted = _order(client, "PUT", name, "/tags", {"tags": list(tags)})
    sentence = f"{said(name)} has the tags {', '.join(map(said, tags))}." if tags else f"{said(name)} has no tags."
    return carried_out(client, accepted, detach, as_json, _always(sentence))


def describe(client: Client, name: str, changes: Mapping[str, str | None], detach: bool, as_json: bool) -> int:
    """Change its card; the exit code."""
    body = {field: value for field, value in changes.items() if value is not None}
    if not body:
        raise CannotStart("Say --description or --license.")
    return carried_out(client, _order(client, "PATCH", name, "", body), detach, as_json)


def verify(client: Client, name: str, backends: Sequence[str], detach: bool, as_json: bool) -> int:
    """Try it where it is; the exit code."""
    accepted = _order(client, "POST", name, "/verify", {"backends": list(backends)})
    return carried_out(client, accepted, detach, as_json, shown=models_shown.tried)


def alias(client: Client, name: str | None, model: str | None, remove: bool, detach: bool, as_json: bool) -> int:
    """Set, remove or list aliases; the exit code."""
    if name is None and not remove:
        return _list_aliases(client, as_json)
    if name is None or remove == (model is not None):
        raise CannotStart("Say ALIAS and MODEL, or --remove and ALIAS.")
    at = f"{ALIASES}/{quote(name, safe='')}"
    if remove:
        accepted, sentence = client.order("DELETE", at), f"{said(name)} stands for nothing any more."
    else:
        accepted, sentence = client.order("PUT", at, {"model": model}), f"{said(name)} stands for {said(model)}."
    return carried_out(client, accepted, detach, as_json, _always(sentence))


def copy(client: Client, name: str, destination: str, detach: bool, as_json: bool) -> int:
    """Give it a second name; the exit code."""

    def told(command: Command, _: int) -> str:
        return f"{said(name)} is also {said(destination)} on {where(command)}."

    accepted = _order(client, "POST", name, "/copy", {"destination": destination})
    return carried_out(client, accepted, detach, as_json, told)


def retire(client: Client, name: str, undo: bool, detach: bool, as_json: bool) -> int:
    """Take it out of Explore, or bring it back; the exit code."""
    back = f"Back again: {typed('models retire --undo')} {said(name)}"
    sentence = f"{said(name)} is in Explore again." if undo else f"{said(name)} is retired. {back}"
    accepted = _order(client, "POST", name, "/retire", {"retired": not undo})
    return carried_out(client, accepted, detach, as_json, _always(sentence))


def delete(client: Client, name: str, options: Mapping[str, list[str]], yes: bool, detach: bool, as_json: bool) -> int:
    """Delete it; the exit code."""
    on = ", ".join(map(said, options["backend"])) or "every server that has it"
    if not yes and not agreed(f"Delete {said(name)} from {on}?"):
        return 1
    query = urlencode(options, doseq=True)
    accepted = _order(client, "DELETE", name, f"?{query}" if query else "", None)
    return carried_out(client, accepted, detach, as_json)


def _order(client: Client, method: str, name: str, rest: str, body: Mapping[str, object] | None) -> dict[str, Any]:
    try:
        return client.order(method, f"{PATH}/{quote(name, safe='')}{rest}", body)
    except Refused as refused:
        raise _of_model(name, refused) from refused


def _always(sentence: str) -> Told:
    return lambda _command, _size: sentence


def _models(client: Client, asked: Mapping[str, object]) -> Iterator[dict[str, Any]]:
    """Page by page."""
    return client.items("/api/models", {"limit": PAGE, **asked})


def _list_aliases(client: Client, as_json: bool) -> int:
    aliases = client.get(ALIASES)["items"]
    if as_json:
        sys.stdout.write(json_of(aliases))
    elif not aliases:
        say(f"There are no aliases: {typed('models alias ALIAS MODEL')} makes one.")
    for one in () if as_json else aliases:
        between = " → " if sys.stdout.isatty() else "\t"
        sys.stdout.write(f"{said(one['name'])}{between}{said(one['model'])}\n")
    return 0


def _of_model(name: str, refused: Refused) -> Refused:
    if refused.status != 404:
        return refused
    sentence = f"There is no model {said(name)}: {typed('models list')} shows those there are."
    return Refused(refused.code, sentence, refused.status)
