"""What `ollamanet dead-letters` does: through the HTTP API, as the administrator who is logged in."""

import sys
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any
from urllib.parse import quote

from cli import letters_shown
from cli.cells import json_of, now, said
from cli.client import Client, Refused
from cli.letters_shown import Letter
from cli.terminal import agreed, console, say
from cli.typed import typed
from infra.process.failures import CannotStart

PATH = "/api/admin/dead-letters"
PAGE = 100
"""Letters on a page: the most that the platform gives."""
BATCH = 20
"""Letters replayed with one call: answered within a second, and after Ctrl-C few are left whose end was not told."""
_OWN = (404, 409)
"""Refusals that are about one letter and say nothing about the next one."""


def list_them(client: Client, status: str | None, limit: int, as_json: bool) -> int:
    """Letters of that status (None: any); the exit code."""
    found = list(islice(_letters(client, status, min(limit + 1, PAGE)), limit + 1))
    letters, more = found[:limit], len(found) > limit
    if as_json:
        sys.stdout.write(json_of(letters))
    elif not letters:
        say(_nothing(client, status))
    elif not sys.stdout.isatty():
        sys.stdout.write(letters_shown.as_lines(letters))
    else:
        letters_shown.as_table(console(), letters, now())
        if more:
            say(f"There are more: {typed('dead-letters list --limit')} {limit * 10}")
    return 0


def show_it(client: Client, letter_id: str, as_json: bool) -> int:
    """Everything about one letter; the exit code."""
    try:
        letter = client.get(f"{PATH}/{quote(letter_id, safe='')}")
    except Refused as refused:
        raise _of_letter(letter_id, refused) from refused
    if as_json:
        sys.stdout.write(json_of(letter))
    else:
        letters_shown.whole(console(), letter, now())
    return 0


def replay_them(client: Client, letter_ids: Sequence[str], every: bool, yes: bool, as_json: bool) -> int:
    """Replay these, or every letter that waits. The exit code: 1 where one of them could not be."""
    if every == bool(letter_ids):
        raise CannotStart("Name the letters to replay, or say --all for every one that waits.")
    ids = [str(one["id"]) for one in _letters(client, "waiting", PAGE)] if every else list(dict.fromkeys(letter_ids))
    if every and not ids:
        say(_nothing(client, "waiting"))
        if as_json:
            sys.stdout.write(json_of([]))
        return 0
    if every and not yes and not agreed(f"Replay {_count(ids)}?"):
        return 1
    answers: list[Letter] = []
    for answer in _replayed(client, ids):
        answers.append(answer)
        if not as_json:
            _tell_replay(answer)
    return _summed_up(answers, len(ids), "replayed", as_json)


def discard_them(client: Client, letter_ids: Sequence[str], yes: bool, as_json: bool) -> int:
    """Discard these. The exit code: 1 where one of them could not be."""
    if not letter_ids:
        raise CannotStart("Name the letters to discard.")
    ids = list(dict.fromkeys(letter_ids))
    if not yes and not agreed(
        f"Discard {_count(ids)}? Nothing will be done about {'it' if len(ids) == 1 else 'them'}."
    ):
        return 1
    answers: list[Letter] = []
    for letter_id in ids:
        answer = _discarded(client, letter_id)
        answers.append(answer)
        if not as_json:
            _tell(answer, f"discarded {said(answer['id'])}")
    return _summed_up(answers, len(ids), "discarded", as_json)


def _letters(client: Client, status: str | None, page: int) -> Iterator[dict[str, Any]]:
    """The last to die first, page by page."""
    return client.items(PATH, {"limit": page, "status": status})


def _nothing(client: Client, status: str | None) -> str:
    if status in ("replayed", "discarded"):
        return f"No dead letter was {status}."
    if status is None or next(_letters(client, None, 1), None) is None:
        return "No dead letters: nothing was lost."
    return f"No dead letter waits. Those that were decided: {typed('dead-letters list --status all')}"


def _replayed(client: Client, ids: Sequence[str]) -> Iterator[Letter]:
    """What happened to each; ends early where the platform cannot take more now."""
    for start in range(0, len(ids), BATCH):
        answers = client.post(f"{PATH}/replay", {"ids": ids[start : start + BATCH]}).json()["items"]
        yield from answers
        if any(one["error"] and one["error"]["code"] in ("unavailable", "overloaded") for one in answers):
            return


def _discarded(client: Client, letter_id: str) -> Letter:
    try:
        client.post(f"{PATH}/{quote(letter_id, safe='')}/discard")
    except Refused as refused:
        if refused.status not in _OWN:
            raise
        error = {"status": refused.status, "code": refused.code, "detail": str(refused)}
        return {"id": letter_id, "discarded": False, "error": error}
    return {"id": letter_id, "discarded": True, "error": None}


def _tell_replay(answer: Letter) -> None:
    generation = said(answer["generation_id"])
    _tell(answer, f"replayed {said(answer['id'])}" + (f" as {generation}" if generation else ""))


def _tell(answer: Letter, done: str) -> None:
    error = answer["error"]
    if error:
        sys.stderr.write(f"not {done.split(' ')[0]} {said(answer['id'])}: {said(error['detail'])}\n")
    else:
        sys.stdout.write(done + "\n")
        sys.stdout.flush()


def _summed_up(answers: Sequence[Letter], asked: int, done: str, as_json: bool) -> int:
    """The exit code, and for several the sum of what was told."""
    well = sum(not one["error"] for one in answers)
    if as_json:
        sys.stdout.write(json_of(answers))
    elif asked > 1 and well < asked:
        sys.stderr.write(f"{well} of {asked} {done}.\n")
    return 0 if well == asked else 1


def _of_letter(letter_id: str, refused: Refused) -> Refused:
    if refused.status != 404:
        return refused
    sentence = f"There is no dead letter {said(letter_id)}: {typed('dead-letters list --status all')} shows them all."
    return Refused(refused.code, sentence, refused.status)


def _count(ids: Sequence[str]) -> str:
    return "1 dead letter" if len(ids) == 1 else f"{len(ids)} dead letters"
