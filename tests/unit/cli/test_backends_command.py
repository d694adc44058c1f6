"""`ollamanet backends` and `ollamanet audit`, as an administrator types them."""

import io
import json
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
from rich.console import Console
from typer.testing import CliRunner, Result

from cli import servers_shown
from cli.main import app
from cli.tokens import Login, TokenFile
from tests.unit.cli.answers import Answer

Run = Callable[..., Result]
PATH = "/api/admin/backends"
LIST = f"GET {PATH}?limit=100"
NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
SECRET = "sk-very-secret"
MISSING = Answer(404, {"code": "not_found", "detail": "There is no back-end named 'x'."})


def health(**changes: object) -> dict[str, object]:
    fields = {
        "healthy": True, "error": None, "checked_at": "2026-01-01T11:59:58Z", "latency_ms": 12, "version": "0.9.9",
        "loaded": [], "circuit": "closed", "calls": 0, "failures": 0, "error_rate": None, "ttft_ms": None, "running": {},
        "slots": 4,
    }  # fmt: skip
    return {**fields, **changes}


def server(name: str = "gpu", **changes: object) -> dict[str, object]:
    fields = {
        "name": name, "kind": "ollama", "url": "http://gpu:11434", "pool": "default", "slots": 4, "api_key_set": False,
        "tls_ca": None, "tls_verify": True, "source": "admin", "created_at": "2026-01-01T00:00:00Z",
        "updated_at": "2026-01-01T00:00:00Z", "health": health(),
    }  # fmt: skip
    return {**fields, **changes}


def page(*items: object, more: str | None = None) -> Answer:
    return Answer(200, {"items": list(items), "unreadable": [], "next_cursor": more})


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, platform) -> Run:
    """Run `ollamanet …` in a pipe, logged in."""
    for variable in ("HOME", "XDG_CONFIG_HOME"):
        monkeypatch.setenv(variable, str(tmp_path))
    monkeypatch.setenv("OLLAMANET_URL", platform.url)
    login = Login(email="a@example.org", access_token="access-1", refresh_token="r", expires_at=time.time() + 900)
    TokenFile(tmp_path / "ollamanet" / "tokens.json").put(platform.url, login)

    def typed(*arguments: str, said: str = "") -> Result:
        out = CliRunner().invoke(app, list(arguments), input=said)
        assert out.exception is None or isinstance(out.exception, SystemExit), out.exception
        return out

    return typed


# Listing


def test_a_list_in_a_pipe_is_a_line_each_of_every_page(run: Run, platform) -> None:
    busy = health(running={"small": 2, "large": 1}, slots=8, error="evil\x1b[2J\terror", healthy=False)
    platform.says(LIST, page(server(health=busy), more="c"))
    platform.says(f"{LIST}&cursor=c", page(server("new", source="configuration", health=health(healthy=None, slots=0))))
    out = run("backends", "list")
    assert out.exit_code == 0
    assert out.stdout == (
        "gpu\tollama\thttp://gpu:11434\tdefault\t4\tadmin\tdown\t3\t8\tevil[2J error\n"
        "new\tollama\thttp://gpu:11434\tdefault\t4\tconfiguration\tnew\t0\t0\t\n"
    )


def test_a_list_as_json_is_what_the_platform_said(run: Run, platform) -> None:
    platform.says(LIST, page(server()))
    assert json.loads(run("backends", "list", "--json").stdout) == [server()]


def test_no_servers_says_how_to_add_one(run: Run, platform) -> None:
    platform.says(LIST, page())
    out = run("backends", "list")
    assert (out.exit_code, out.stdout) == (0, "")
    assert "backends add NAME URL" in out.stderr


def test_what_cannot_be_shown_is_told_beside_the_list(run: Run, platform) -> None:
    lost = {"name": "lost", "error": "Its key cannot be read."}
    platform.says(LIST, Answer(200, {"items": [server()], "unreadable": [lost], "next_cursor": None}))
    out = run("backends", "list")
    assert (out.exit_code, out.stdout.count("\n")) == (0, 1)
    assert out.stderr == "lost is not shown: Its key cannot be read.\n"


def table(*servers: dict[str, object]) -> list[str]:
    out = io.StringIO()
    servers_shown.as_table(Console(file=out, width=80), servers, NOW)
    return out.getvalue().splitlines()


def test_a_table_fits_the_terminal() -> None:
    long = server("a" * 63, pool="p" * 63, url="https://" + "x" * 300, kind="openai", health=health(error="e" * 300))
    lines = table(server(), long)
    assert len(lines) == 5
    assert all(len(line) <= 80 for line in (*lines[:3], lines[4]))
    assert "a" * 63 in lines[3]  # a name is of use whole, or not at all


@pytest.mark.parametrize(
    ("seen", "word", "news"),
    [
        ({"running": {"small": 3}, "ttft_ms": 120}, "well", "http://gpu:11434; seen 2s ago"),
        ({"healthy": False, "error": "gpu cannot be reached."}, "down", "http://gpu:11434; gpu cannot be reached.; seen 2s ago"),
        ({"circuit": "open", "calls": 9, "failures": 7}, "resting", "http://gpu:11434; 7 of 9 calls failed; seen 2s ago"),
        ({"circuit": "half-open"}, "resting", "http://gpu:11434; seen 2s ago"),
        ({"healthy": None, "checked_at": None}, "new", "http://gpu:11434; not seen yet"),
        ({"loaded": [{"name": "small"}, {"name": "large"}]}, "well", "http://gpu:11434; loaded: small, large; seen 2s ago"),
        ({"circuit": None, "slots": 0}, "well", "http://gpu:11434; seen 2s ago"),
    ],
)  # fmt: skip
def test_how_a_server_stands_in_a_word_and_a_line(seen: dict[str, object], word: str, news: str) -> None:
    _, first, second = table(server(health=health(**seen)))
    assert first.split()[3] == word
    assert second == f"  {news}"
    assert ("no worker" in first) == (seen.get("slots") == 0)


# Adding and changing


def test_what_was_said_is_sent_and_nothing_else(run: Run, platform) -> None:
    platform.says(f"POST {PATH}", Answer(201, server()))
    out = run("backends", "add", "gpu", "http://gpu:11434")
    assert (out.exit_code, out.stdout) == (0, "added gpu\n")
    assert "backends test gpu" in out.stderr
    (asked,) = platform.calls(f"POST {PATH}")
    assert asked.body == {"name": "gpu", "url": "http://gpu:11434", "kind": "ollama"}


def test_everything_can_be_said(run: Run, platform, tmp_path: Path) -> None:
    platform.says(f"POST {PATH}", Answer(201, server()))
    pem = tmp_path / "ca.pem"
    pem.write_text("PEM")
    options = (
        "--kind",
        "openai",
        "--pool",
        "large",
        "--slots",
        "8",
        "--tls-ca",
        str(pem),
        "--no-tls-verify",
        "--api-key-stdin",
    )
    out = run("backends", "add", "gpu", "https://gpu/v1", *options, "--json", said=f"{SECRET}\n")
    assert json.loads(out.stdout) == server()
    assert platform.asked[-1].body == {
        "name": "gpu", "url": "https://gpu/v1", "kind": "openai", "pool": "large", "slots": 8, "tls_ca": "PEM",
        "tls_verify": False, "api_key": SECRET,
    }  # fmt: skip
    assert SECRET not in out.output


def test_a_key_is_asked_for_and_not_shown(run: Run, platform, monkeypatch: pytest.MonkeyPatch) -> None:
    platform.says(f"POST {PATH}", Answer(201, server()))
    prompts: list[str] = []
    monkeypatch.setattr("cli.servers.getpass", lambda prompt: prompts.append(prompt) or f" {SECRET} ")
    out = run("backends", "add", "gpu", "https://gpu", "--ask-api-key")
    assert (out.exit_code, prompts) == (0, ["API key of gpu: "])
    body = platform.asked[-1].body
    assert body["api_key"] == SECRET
    assert SECRET not in out.output


def test_no_key_is_an_argument(run: Run, platform) -> None:
    for option in (f"--api-key={SECRET}", f"--ask-api-key={SECRET}", f"--api-key-stdin={SECRET}"):
        assert run("backends", "add", "gpu", "https://gpu", option).exit_code == 2
    assert platform.asked == []


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--api-key-stdin",), "No API key was given"),
        (("--api-key-stdin", "--ask-api-key"), "not both"),
        (("--tls-ca", "nowhere.pem"), "--tls-ca names nowhere.pem"),
    ],
    ids=["empty", "twice", "no file"],
)
def test_what_cannot_be_said(run: Run, platform, options: tuple[str, ...], words: str) -> None:
    out = run("backends", "add", "gpu", "https://gpu", *options)
    assert (out.exit_code, platform.asked) == (2, [])
    assert words in out.stderr


def test_what_the_platform_refuses_is_one_sentence(run: Run, platform) -> None:
    problem = {
        "code": "invalid",
        "detail": "No.",
        "errors": [{"pointer": "/url", "detail": "10.0.0.1 is in a private network"}],
    }
    platform.says(f"POST {PATH}", Answer(422, problem))
    out = run("backends", "add", "gpu", "http://10.0.0.1")
    assert (out.exit_code, out.stderr) == (1, "/url 10.0.0.1 is in a private network\n")


def test_a_change_sends_what_changes(run: Run, platform) -> None:
    platform.says(f"PATCH {PATH}/gpu", Answer(200, server()))
    for options, body in (
        (("--slots", "8"), {"slots": 8}),
        (("--no-api-key", "--no-tls-ca", "--tls-verify"), {"api_key": None, "tls_ca": None, "tls_verify": True}),
        (("--url", "https://gpu", "--api-key-stdin"), {"url": "https://gpu", "api_key": SECRET}),
    ):
        out = run("backends", "change", "gpu", *options, said=f"{SECRET}\n")
        assert (out.exit_code, out.stdout) == (0, "changed gpu\n")
        assert platform.asked[-1].body == body


def test_a_change_of_nothing_and_one_that_contradicts_itself(run: Run, platform) -> None:
    out = run("backends", "change", "gpu")
    assert (out.exit_code, "change --help" in out.stderr) == (2, True)
    out = run("backends", "change", "gpu", "--no-api-key", "--api-key-stdin", said="x\n")
    assert (out.exit_code, "--no-api-key" in out.stderr) == (2, True)
    assert platform.asked == []


def test_a_change_of_what_is_not_there(run: Run, platform) -> None:
    platform.says(f"PATCH {PATH}/..%2Fx", MISSING)
    out = run("backends", "change", "../x", "--slots", "1")
    assert out.exit_code == 1
    assert "There is no model server ../x" in out.stderr
    assert "backends list" in out.stderr


# Testing and removing


def looked(**changes: object) -> Answer:
    fields = {"reachable": True, "latency_ms": 12, "version": "0.9.9", "models": 3, "error": None}
    return Answer(200, {**fields, **changes})


def test_tests_tell_each_and_fail_where_one_does_not_answer(run: Run, platform) -> None:
    platform.says(f"POST {PATH}/a/test", looked())
    platform.says(f"POST {PATH}/b/test", looked(models=1, version=None))
    assert (run("backends", "test", "a").exit_code, run("backends", "test", "a", "a").exit_code) == (0, 0)
    platform.says(f"POST {PATH}/c/test", looked(reachable=False, latency_ms=None, error="c cannot be reached."))
    out = run("backends", "test", "a", "b", "c", "d")
    assert out.exit_code == 1
    assert out.stdout == "a answers after 12 ms: 3 models, version 0.9.9\nb answers after 12 ms: 1 model\n"
    assert out.stderr.startswith("c cannot be reached.\nd: There is no model server d")


def test_tests_as_json(run: Run, platform) -> None:
    platform.says(f"POST {PATH}/a/test", looked())
    out = run("backends", "test", "a", "d", "--json")
    first, second = json.loads(out.stdout)
    assert first == {"name": "a", "reachable": True, "latency_ms": 12, "version": "0.9.9", "models": 3, "error": None}
    assert (second["name"], second["reachable"], "no model server d" in second["error"]) == ("d", False, True)
    assert out.exit_code == 1


def test_a_test_that_nobody_makes_ends_the_command(run: Run, platform) -> None:
    problem = {"code": "no_catalog_worker", "detail": "Nobody looked at it within 15 s: is a catalog worker running?"}
    platform.says(f"POST {PATH}/a/test", Answer(504, problem))
    out = run("backends", "test", "a", "b")
    assert (out.exit_code, out.stderr) == (1, f"{problem['detail']}\n")


def test_remove_needs_somebody_to_agree(run: Run, platform) -> None:
    out = run("backends", "remove", "gpu")
    assert (out.exit_code, platform.asked) == (2, [])
    assert "Remove gpu?" in out.stderr
    assert "say --yes" in out.stderr


def test_remove_tells_which_were_not_removed(run: Run, platform) -> None:
    platform.says(f"DELETE {PATH}/a", Answer(204))
    detail = "It stands in OLLAMANET_BACKENDS: change it there."
    platform.says(f"DELETE {PATH}/b", Answer(409, {"code": "backend_configured", "detail": detail}))
    out = run("backends", "remove", "--yes", "a", "b", "c", "a")
    assert (out.exit_code, out.stdout) == (1, "removed a\n")
    assert out.stderr.startswith(f"not removed b: {detail}\nnot removed c: There is no model server c")
    out = run("backends", "remove", "-y", "a", "b", "--json")
    assert json.loads(out.stdout) == [
        {"name": "a", "removed": True, "error": None},
        {"name": "b", "removed": False, "error": {"status": 409, "code": "backend_configured", "detail": detail}},
    ]


def test_somebody_who_is_no_administrator_is_told_so(run: Run, platform) -> None:
    platform.says(LIST, Answer(403, {"code": "not_permitted", "detail": "Only an administrator may do this."}))
    out = run("backends", "list")
    assert out.exit_code == 1
    assert "Only an administrator may do this. Log in as one" in out.stderr


# Audit


def entry(number: int = 1, **changes: object) -> dict[str, object]:
    fields = {
        "id": f"e{number}", "at": "2026-01-01T11:00:00Z", "actor": "u1", "actor_email": "a@example.org", "action": "AddBackend",
        "subject": "gpu", "details": {"kind": "ollama", "idempotency": "ab.cd"}, "outcome": "completed", "error": None,
        "ended_at": None, "request_id": None,
    }  # fmt: skip
    return {**fields, **changes}


def test_the_audit_record_in_a_pipe_is_a_line_each(run: Run, platform) -> None:
    failed = entry(
        2,
        outcome="failed",
        error={"code": "disk_full", "message": "Full."},
        details={"a": "x\ty\x1b"},
        actor_email=None,
    )
    platform.says("GET /api/admin/audit?limit=31", page(entry(), failed))
    assert run("audit").stdout == (
        "e1\t2026-01-01T11:00:00Z\tu1\ta@example.org\tAddBackend\tgpu\tcompleted\t\t"
        '{"kind": "ollama", "idempotency": "ab.cd"}\n'
        'e2\t2026-01-01T11:00:00Z\tu1\t\tAddBackend\tgpu\tfailed\tdisk_full\t{"a": "x\\ty\\u001b"}\n'
    )


def test_the_audit_record_is_asked_as_it_was_said(run: Run, platform) -> None:
    call = "GET /api/admin/audit?limit=3&actor=a%40example.org&action=AddBackend&subject=gpu"
    platform.says(call, page(entry(1), entry(2), more="c"))
    platform.says(f"{call}&cursor=c", page(entry(3)))
    options = ("--actor", "a@example.org", "--action", "AddBackend", "--subject", "gpu", "--limit", "2")
    out = run("audit", *options, "--json")
    assert [one["id"] for one in json.loads(out.stdout)] == ["e1", "e2"]


def test_nothing_in_the_audit_record(run: Run, platform) -> None:
    platform.says("GET /api/admin/audit?limit=31", page())
    out = run("audit")
    assert (out.exit_code, out.stdout) == (0, "")
    assert "Nothing of that kind" in out.stderr
