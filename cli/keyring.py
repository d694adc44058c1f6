"""What `ollamanet api-keys` does: through the HTTP API, as the person who is logged in."""

import re
import sys
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import quote

from cli import keyring_shown
from cli.cells import json_of, now, said
from cli.client import Client, Refused
from cli.terminal import agreed, console, say
from cli.typed import typed
from infra.process.failures import CannotStart

PATH = "/api/auth/keys"
PAGE = 100
"""Keys on a page; a person has at most 50."""
_UNITS = {"h": 1, "d": 24, "w": 7 * 24, "y": 365 * 24}
"""Hours."""
_LIFETIME = re.compile(r"([1-9][0-9]{0,4})([hdwy])")


def create(client: Client, name: str, scopes: Sequence[str], expires: str | None, as_json: bool) -> int:
    """A new key, its secret on standard output; the exit code."""
    ends = moment(expires, now()) if expires else None
    body: dict[str, object] = {"name": name, "scopes": list(scopes)}
    key = client.post(PATH, body | ({"expires_at": ends.isoformat()} if ends else {})).json()
    if as_json:
        sys.stdout.write(json_of(key))
        return 0
    sys.stdout.write(said(key["secret"]) + "\n")
    sys.stdout.flush()
    say(
        f"It is not shown again. Programs written for OpenAI take it as OPENAI_API_KEY, with OPENAI_BASE_URL={client.url}/v1.\n"
        f"To end it: {typed('api-keys revoke')} {said(key['id'])}"
    )
    return 0


def list_them(client: Client, as_json: bool) -> int:
    """The person's keys; the exit code."""
    keys: list[dict[str, Any]] = client.get(f"{PATH}?limit={PAGE}")["items"]
    if as_json:
        sys.stdout.write(json_of(keys))
    elif not keys:
        say(f"You have no API keys: {typed('api-keys create NAME')} makes one.")
    elif not sys.stdout.isatty():
        sys.stdout.write(keyring_shown.as_lines(keys))
    else:
        keyring_shown.as_table(console(), keys, now())
    return 0


def revoke(client: Client, key_ids: Sequence[str], yes: bool, as_json: bool) -> int:
    """End these. The exit code: 1 where there was none of one of the ids."""
    ids = list(dict.fromkeys(key_ids))
    count = "1 API key" if len(ids) == 1 else f"{len(ids)} API keys"
    if not yes and not agreed(f"Revoke {count}? What uses {'it' if len(ids) == 1 else 'them'} is refused from now on."):
        return 1
    answers: list[Mapping[str, Any]] = []
    for key_id in ids:
        answers.append(_revoked(client, key_id))
        if not as_json:
            _tell(answers[-1])
    if as_json:
        sys.stdout.write(json_of(answers))
    return 0 if all(one["revoked"] for one in answers) else 1


def moment(expires: str, at: datetime) -> datetime:
    """When a key ends that is asked to end so: `90d` after `at`, or at that date, by this machine's clock. CannotStart for other words."""
    found = _LIFETIME.fullmatch(expires.strip().lower())
    try:
        if found:
            return at + timedelta(hours=int(found[1]) * _UNITS[found[2]])
        ends = datetime.fromisoformat(expires.strip()).astimezone()
    except (ValueError, OverflowError) as error:
        raise CannotStart(
            f"--expires {said(expires)!r} is neither a time from now (12h, 90d, 8w, 1y) nor a date (2036-01-01)."
        ) from error
    if ends <= at:
        raise CannotStart(f"--expires {said(expires)!r} is over already.")
    return ends


def _revoked(client: Client, key_id: str) -> Mapping[str, Any]:
    try:
        client.delete(f"{PATH}/{quote(key_id, safe='')}")
    except Refused as refused:
        if refused.status != 404:
            raise
        error = {"status": refused.status, "code": refused.code, "detail": str(refused)}
        return {"id": key_id, "revoked": False, "error": error}
    return {"id": key_id, "revoked": True, "error": None}


def _tell(answer: Mapping[str, Any]) -> None:
    key_id = said(answer["id"])
    if answer["revoked"]:
        sys.stdout.write(f"revoked {key_id}\n")
        sys.stdout.flush()
    else:
        sys.stderr.write(f"You have no API key {key_id}: {typed('api-keys list')} shows those that you have.\n")
