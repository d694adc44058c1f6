"""`ollamanet dead-letters`, as an operator types it, in a terminal and in a pipe."""

import fcntl
import json
import os
import pty
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from typer.testing import CliRunner

from cli.cells import age
from cli.letters_shown import name_of
from cli.main import app
from cli.tokens import Login, TokenFile
from tests.servers.shared import free_port
from tests.unit.cli.answers import Answer

LIST = "GET /api/admin/dead-letters?limit=31&status=waiting"
ANY = "GET /api/admin/dead-letters?limit=1"
ALL = "GET /api/admin/dead-letters?limit=100&status=waiting"
REPLAY = "POST /api/admin/dead-letters/replay"
FORBIDDEN = Answer(403, {"code": "not_permitted", "detail": "Only an administrator may do this."})
NOW = datetime.now(UTC)


def letter(number: int = 1, **changes: object) -> dict[str, object]:
    fields = {
        "id": name(number), "queue": "inference.generate-reply.default.interactive", "reason": "rejected",
        "why": "BackendFailed: nobody foresaw it", "type": "net.ollamanet.GenerateReply.v1", "subject": "g1",
        "owner": "u1", "attempts": 2, "died_at": (NOW - timedelta(hours=3)).isoformat(), "status": "waiting",
        "decided_by": None, "decided_at": None, "replayed_as": None, "trace_id": "0af7", "correlation_id": "c1",
    }  # fmt: skip
    return {**fields, **changes}


def name(number: int) -> str:
    return f"01930000-0000-7000-8000-{number:012}"


def page(*letters: dict[str, object], cursor: str | None = None) -> Answer:
    return Answer(200, {"items": list(letters), "next_cursor": cursor})


def replayed(number: int, generation: str | None = "g2") -> dict[str, object]:
    return {"id": name(number), "published": True, "generation_id": generation, "stream": None, "error": None}


def refused(number: int, code: str = "already_decided", status: int = 409) -> dict[str, object]:
    error = {"status": status, "code": code, "detail": f"It is {code}."}
    return {"id": name(number), "published": False, "generation_id": None, "stream": None, "error": error}


@dataclass(frozen=True)
class Ended:
    returncode: int
    stdout: str
    stderr: str


@pytest.fixture
def home(platform, tmp_path: Path) -> dict[str, str]:
    """Somebody is logged in."""
    login = Login(email="a@example.org", access_token="access-1", refresh_token="r", expires_at=time.time() + 900)
    TokenFile(tmp_path / "ollamanet" / "tokens.json").put(platform.url, login)
    return {"OLLAMANET_URL": platform.url}


@pytest.fixture
def logged_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, platform):
    """Run `ollamanet dead-letters …` in a pipe, in this process: a new one takes half a second."""
    for variable in ("HOME", "XDG_CONFIG_HOME"):
        monkeypatch.setenv(variable, str(tmp_path))
    monkeypatch.setenv("OLLAMANET_URL", platform.url)

    def run(*arguments: str, said: str = "") -> Ended:
        out = CliRunner().invoke(app, ["dead-letters", *arguments], input=said)
        assert out.exception is None or isinstance(out.exception, SystemExit), out.exception
        return Ended(out.exit_code, out.stdout, out.stderr)

    return run


@pytest.fixture
def own(logged_out, home: dict[str, str]):
    """The same, logged in."""
    return logged_out


@pytest.fixture
def terminal(home: dict[str, str], tmp_path: Path):
    """Run `ollamanet dead-letters …` in a terminal of 80 columns: what it shows, and its exit code."""

    def run(*arguments: str, typing: str = "", then: Callable[[int], None] | None = None) -> tuple[str, int]:
        above, below = pty.openpty()
        fcntl.ioctl(below, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
        environment = {**os.environ, **home, "XDG_CONFIG_HOME": str(tmp_path), "TERM": "xterm"}
        environment.pop("NO_COLOR", None)
        process = subprocess.Popen(
            [sys.executable, "-m", "cli.main", "dead-letters", *arguments], stdin=below, stdout=below, stderr=below,
            env=environment, start_new_session=True,
        )  # fmt: skip
        os.close(below)
        shown = ""
        if typing or then:
            shown = until(above, "[y/N] ")
            os.write(above, typing.encode())
            if then is not None:
                then(process.pid)
        shown += until(above, None)
        os.close(above)
        return shown.replace("\r\n", "\n"), process.wait(30)

    return run


def until(terminal: int, end: str | None) -> str:
    """What is shown until those words, or until nothing more comes."""
    shown = b""
    while end is None or end.encode() not in shown:
        try:
            piece = os.read(terminal, 65_536)
        except OSError:  # everybody else closed it
            break
        if not piece:
            break
        shown += piece
    return shown.decode()


# Seeing


def test_a_terminal_shows_two_lines_a_letter_within_80_columns(platform, terminal) -> None:
    long = "OperationalError: disk full\nand " + "so on " * 40
    platform.says(LIST, page(letter(1), letter(2, reason="delivery_limit", why=long, attempts=1), letter(3, type=None)))
    shown, code = terminal("list")
    assert code == 0
    lines = plain(shown).splitlines()
    assert all(len(line) <= 80 for line in lines), lines
    assert lines[0].split() == ["ID", "AGE", "REASON", "MESSAGE"]
    assert lines[1].split() == [name(1), "3h", "rejected", "GenerateReply"]
    assert lines[2] == "  2 attempts; BackendFailed: nobody foresaw it"
    assert lines[4].startswith("  1 attempt; OperationalError: disk full and so on")
    assert lines[4].endswith("…")
    assert lines[5].split()[-1] == "unknown"


def test_a_decided_letter_says_what_became_of_it(platform, terminal) -> None:
    decided = {"decided_by": "u9", "decided_at": (datetime.now(UTC) - timedelta(minutes=5)).isoformat()}
    platform.says(
        "GET /api/admin/dead-letters?limit=31",
        page(letter(1, status="replayed", replayed_as="g7", **decided), letter(2, status="discarded", **decided)),
    )
    shown, _ = terminal("list", "--status", "all")
    assert "  replayed 5m ago as g7\n" in plain(shown)
    assert "  discarded 5m ago\n" in plain(shown)


def test_a_letter_that_waits_again_is_one_that_waits(platform, terminal) -> None:
    platform.says(LIST, page(letter(1, decided_by="u9", decided_at=NOW.isoformat())))
    assert "2 attempts; BackendFailed" in terminal("list")[0]


def test_a_pipe_gets_a_line_a_letter(platform, own) -> None:
    why = "a\ttab, a\nline and \x1b[31mred"
    platform.says(LIST, page(letter(1, died_at="2026-05-01T00:00:00Z", why=why), letter(2, type=None, why=None)))
    out = own("list")
    assert (out.returncode, out.stderr) == (0, "")
    first, second = [line.split("\t") for line in out.stdout.splitlines()]
    assert first == [
        name(1), "2026-05-01T00:00:00Z", "waiting", "rejected", "net.ollamanet.GenerateReply.v1", "2",
        "a tab, a line and [31mred",
    ]  # fmt: skip
    assert (len(second), second[4], second[6]) == (7, "", "")


def test_json_is_the_platforms_own(platform, own) -> None:
    platform.says(LIST, page(letter(1, why="é\x9b31m")))
    out = own("list", "--json")
    assert json.loads(out.stdout) == [letter(1, why="é\x9b31m")]
    assert out.stdout.isascii()


@pytest.mark.parametrize("as_json", [(), ("--json",)])
def test_nothing_lost_is_said_to_people_and_not_to_pipes(platform, own, as_json: tuple[str, ...]) -> None:
    platform.says(LIST, page())
    platform.says(ANY, page())
    out = own("list", *as_json)
    assert out.returncode == 0
    assert (out.stdout, out.stderr) == (("[]\n", "") if as_json else ("", "No dead letters: nothing was lost.\n"))


def test_nothing_that_waits_is_not_nothing_lost(platform, terminal) -> None:
    platform.says(LIST, page())
    platform.says(ANY, page(letter(1, status="discarded"), cursor="more"))
    shown, _ = terminal("list")
    assert shown.startswith("No dead letter waits. Those that were decided: ")
    assert len(platform.calls(f"{ANY}&cursor=more")) == 0
    platform.says("GET /api/admin/dead-letters?limit=31&status=replayed", page())
    assert terminal("list", "--status", "replayed") == ("No dead letter was replayed.\n", 0)


def test_a_long_list_is_read_page_by_page_up_to_its_limit(platform, own, terminal) -> None:
    platform.says("GET /api/admin/dead-letters?limit=100&status=waiting", page(*map(letter, range(100)), cursor="a/b"))
    platform.says(
        "GET /api/admin/dead-letters?limit=100&status=waiting&cursor=a%2Fb", page(*map(letter, range(100, 130)))
    )
    out = own("list", "--limit", "110")
    assert [line.split("\t")[0] for line in out.stdout.splitlines()] == [name(one) for one in range(110)]
    assert "There are more" in terminal("list", "--limit", "110")[0]
    assert len(own("list", "--limit", "1000").stdout.splitlines()) == 130
    assert own("list", "--limit", "0").returncode == 2


def test_one_letter_is_shown_whole_and_steers_no_terminal(platform, terminal, own) -> None:
    body = json.dumps({"question": {"content": "Why?\x1b[2J [red]é[/red]"}})
    whole = {**letter(1), "attributes": {"source": "edge\x1b[2J"}, "body": body}
    platform.says(f"GET /api/admin/dead-letters/{name(1)}", Answer(200, whole))
    shown, code = terminal("show", name(1))
    assert code == 0
    assert "\x1b[2J" not in shown
    text = plain(shown)
    for words in (
        name(1),
        "GenerateReply (net.ollamanet.GenerateReply.v1)",
        "nobody foresaw it",
        "3h ago",
        "0af7",
        "u1",
    ):
        assert words in text
    assert '    "content": "Why?' in text
    assert "[red]é[/red]" in text
    assert json.loads(own("show", name(1), "--json").stdout) == whole


def test_a_body_that_is_no_json_is_shown_as_it_came(platform, own) -> None:
    platform.says(
        f"GET /api/admin/dead-letters/{name(1)}", Answer(200, {**letter(1), "attributes": {}, "body": "what\nis this"})
    )
    assert own("show", name(1)).stdout.endswith("body\nwhat\nis this\n")


@pytest.mark.parametrize("given", ["x", "../../auth/me", "a b", "%2e"])
def test_an_unknown_letter_says_where_the_known_ones_are(own, given: str) -> None:
    out = own("show", given)
    assert (out.returncode, len(out.stderr.splitlines())) == (1, 1)
    assert out.stderr.startswith(f"There is no dead letter {given}: ")
    assert "list --status all" in out.stderr


# Deciding


def test_letters_are_replayed_and_each_is_told(platform, own) -> None:
    platform.says(REPLAY, Answer(200, {"items": [replayed(1), replayed(2, None), refused(3)]}))
    out = own("replay", name(1), name(2), name(3), name(1))
    assert out.returncode == 1
    assert out.stdout == f"replayed {name(1)} as g2\nreplayed {name(2)}\n"
    assert out.stderr == f"not replayed {name(3)}: It is already_decided.\n2 of 3 replayed.\n"
    (asked,) = platform.calls(REPLAY)
    assert asked.body == {"ids": [name(1), name(2), name(3)]}
    assert asked.headers["Authorization"] == "Bearer access-1"


def test_what_was_replayed_as_json(platform, own) -> None:
    platform.says(REPLAY, Answer(200, {"items": [replayed(1), refused(2)]}))
    out = own("replay", name(1), name(2), "--json")
    assert (out.returncode, out.stderr, json.loads(out.stdout)) == (1, "", [replayed(1), refused(2)])


def test_all_that_wait_are_replayed_in_batches(platform, own) -> None:
    platform.says(ALL, page(*map(letter, range(45))))
    platform.says(
        REPLAY,
        *(
            Answer(200, {"items": [replayed(one) for one in range(start, min(start + 20, 45))]})
            for start in (0, 20, 40)
        ),
    )
    out = own("replay", "--all", "--yes")
    assert (out.returncode, len(out.stdout.splitlines()), out.stderr) == (0, 45, "")
    assert [len(one.body["ids"]) for one in platform.calls(REPLAY)] == [20, 20, 5]


def test_a_platform_that_cannot_take_more_is_not_asked_for_the_rest(platform, own) -> None:
    platform.says(ALL, page(*map(letter, range(45))))
    answers = [replayed(0), *(refused(one, "overloaded", 503) for one in range(1, 20))]
    platform.says(REPLAY, Answer(200, {"items": answers}))
    out = own("replay", "--all", "--yes")
    assert (out.returncode, len(platform.calls(REPLAY))) == (1, 1)
    assert out.stderr.endswith("1 of 45 replayed.\n")


def test_all_of_nothing_is_nothing(platform, own) -> None:
    platform.says(ALL, page())
    platform.says(ANY, page())
    assert own("replay", "--all").stderr == "No dead letters: nothing was lost.\n"
    assert own("replay", "--all", "--json").stdout == "[]\n"
    assert platform.calls(REPLAY) == []


def test_all_is_asked_about_first(platform, terminal, own) -> None:
    platform.says(ALL, page(letter(1), letter(2)))
    platform.says(REPLAY, Answer(200, {"items": [replayed(1), replayed(2)]}))
    for answer in ("n\n", "\n", "\x04"):
        shown, code = terminal("replay", "--all", typing=answer)
        assert code == 1
        assert "Replay 2 dead letters? [y/N] " in shown
        assert "Nothing was changed." in shown
    out = own("replay", "--all", said="y\n")
    assert (out.returncode, out.stderr) == (2, "Replay 2 dead letters? There is nobody to ask: say --yes.\n")
    assert platform.calls(REPLAY) == []
    shown, code = terminal("replay", "--all", typing="y\n")
    assert code == 0
    assert f"replayed {name(2)} as g2" in shown


def test_ctrl_c_at_the_question_changes_nothing(platform, terminal) -> None:
    platform.says(ALL, page(letter(1)))
    shown, code = terminal("replay", "--all", then=lambda process: os.kill(process, signal.SIGINT))
    assert code == 130
    assert "Traceback" not in shown
    assert platform.calls(REPLAY) == []


@pytest.mark.parametrize("arguments", [("replay",), ("replay", name(1), "--all"), ("discard",)])
def test_which_letters_has_to_be_said(own, arguments: tuple[str, ...]) -> None:
    out = own(*arguments)
    assert (out.returncode, len(out.stderr.splitlines())) == (2, 1)
    assert out.stderr.startswith("Name the letters to")


def test_letters_are_discarded_when_that_is_agreed(platform, own, terminal) -> None:
    discard = f"POST /api/admin/dead-letters/{name(1)}/discard"
    platform.says(discard, Answer(200, letter(1, status="discarded")))
    assert own("discard", name(1)).returncode == 2
    assert terminal("discard", name(1), typing="n\n")[1] == 1
    assert platform.calls(discard) == []
    shown, code = terminal("discard", name(1), typing="y\n")
    assert (code, f"discarded {name(1)}\n" in shown) == (0, True)
    out = own("discard", name(1), name(2), "--yes")
    assert (out.returncode, out.stdout) == (1, f"discarded {name(1)}\n")
    assert out.stderr == f"not discarded {name(2)}: There is no such thing.\n1 of 2 discarded.\n"
    assert [one["discarded"] for one in json.loads(own("discard", name(1), name(2), "-y", "--json").stdout)] == [
        True,
        False,
    ]


# Who may


COMMANDS = [("list",), ("show", name(1)), ("replay", name(1)), ("replay", "--all"), ("discard", name(1), "--yes")]


@pytest.mark.parametrize("arguments", COMMANDS)
def test_who_is_no_administrator_is_told_so_in_one_sentence(platform, own, arguments: tuple[str, ...]) -> None:
    calls = (
        LIST,
        ALL,
        f"GET /api/admin/dead-letters/{name(1)}",
        REPLAY,
        f"POST /api/admin/dead-letters/{name(1)}/discard",
    )
    for call in calls:
        platform.says(call, FORBIDDEN)
    out = own(*arguments)
    assert (out.returncode, out.stdout, len(out.stderr.splitlines())) == (1, "", 1)
    assert out.stderr.startswith("Only an administrator may do this. Log in as one: ")


@pytest.mark.parametrize("arguments", COMMANDS)
def test_who_is_not_logged_in_is_told_so_in_one_sentence(logged_out, platform, arguments: tuple[str, ...]) -> None:
    out = logged_out(*arguments)
    assert (out.returncode, out.stdout, len(out.stderr.splitlines())) == (1, "", 1)
    assert out.stderr.startswith("You are not logged in: ")
    assert platform.asked == []


def test_no_platform_is_one_sentence(logged_out, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    url = f"http://127.0.0.1:{free_port()}"
    login = Login(email="a@example.org", access_token="a", refresh_token="r", expires_at=time.time() + 900)
    TokenFile(tmp_path / "ollamanet" / "tokens.json").put(url, login)
    monkeypatch.setenv("OLLAMANET_URL", url)
    out = logged_out("list")
    assert (out.returncode, len(out.stderr.splitlines())) == (1, 1)
    assert out.stderr.startswith(f"No platform answers at {url}.")


@pytest.mark.parametrize("arguments", [(), ("list",), ("show",), ("replay",), ("discard",)])
def test_every_command_has_its_help(logged_out, arguments: tuple[str, ...]) -> None:
    out = logged_out(*arguments, "--help")
    assert (out.returncode, out.stderr) == (0, "")
    assert all(len(line) <= 80 for line in out.stdout.splitlines())
    assert "..." not in out.stdout.partition("Commands:")[2]


# Words


@pytest.mark.parametrize(
    ("seconds", "told"),
    [
        (-5, "0s"),
        (0, "0s"),
        (59.9, "59s"),
        (60, "1m"),
        (3599, "59m"),
        (3600, "1h"),
        (86_399, "23h"),
        (86_400 * 40, "40d"),
    ],
)
def test_ages_are_told_in_their_largest_unit(seconds: float, told: str) -> None:
    assert age((NOW - timedelta(seconds=seconds)).isoformat().replace("+00:00", "Z"), NOW) == told


@pytest.mark.parametrize(
    ("kind", "told"),
    [("net.ollamanet.GenerateReply.v1", "GenerateReply"), ("net.ollamanet.internal.ReplyFailed.v1", "ReplyFailed"),
     ("odd", "odd"), ("a.b", "b"), (None, "unknown"), ("\x1b[2J", "[2J")],
)  # fmt: skip
def test_messages_go_by_their_short_name(kind: str | None, told: str) -> None:
    assert name_of(kind) == told


def plain(shown: str) -> str:
    """Without colours."""
    for code in ("\x1b[0m", "\x1b[1m", "\x1b[2m", "\x1b[22m"):
        shown = shown.replace(code, "")
    return shown
