"""`ollamanet models` and `ollamanet commands`, as an administrator types them."""

import io
import json
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from typer.testing import CliRunner, Result

from cli import models_shown, progress
from cli.client import Client, Unreachable
from cli.main import app
from cli.ordering import watched
from cli.progress import Bars
from cli.sse import Event
from cli.tokens import Login, TokenFile
from tests.servers.shared import free_port
from tests.unit.cli.answers import Answer

Run = Callable[..., Result]
MODELS, COMMANDS = "/api/admin/models", "/api/admin/commands"
PULL, STREAM, STANDS = f"POST {MODELS}", f"GET {COMMANDS}/c1/stream", f"GET {COMMANDS}/c1"
Said = tuple[str, str, dict[str, object]]
ACCEPTED: Said = ("1-0", "accepted", {"command_id": "c1", "kind": "PullModel", "model": "small"})
COMPLETED: Said = ("1-9", "completed", {"results": {}})
DONE = {"error": None, "detail": {}, "ended_at": "2026-01-01T00:00:12Z"}
FULL: dict[str, object] = {"code": "disk_full", "message": "two has no room left."}


def step(number: int, status: str, **fields: object) -> tuple[str, str, dict[str, object]]:
    return (f"1-{number}", "progress", {"backend": "one", "status": status, **fields})


def layer(number: int, completed: int) -> tuple[str, str, dict[str, object]]:
    told = {"digest": "sha256:3f", "total": 94_000_000, "all_total": 94_000_000, "rate": 8e6, "eta_ms": 4000}
    return step(number, "pulling 3f", completed=completed, **told)


def command(kind: str = "PullModel", status: str = "completed", **changes: object) -> dict[str, Any]:
    fields = {
        "id": "c1", "kind": kind, "model": "small", "status": status, "progress": None, "targets": ["one", "two"],
        "results": {"one": DONE, "two": DONE}, "error": None, "asked_by": "u1", "asked_at": "2026-01-01T00:00:00Z",
        "started_at": "2026-01-01T00:00:00Z", "ended_at": "2026-01-01T00:00:12Z", "stream": f"{COMMANDS}/c1/stream",
    }  # fmt: skip
    return {**fields, **changes}


def model(name: str = "small", **changes: object) -> dict[str, Any]:
    fields = {
        "name": name, "alias_of": None, "description": "Quick.", "tags": ["fast", "tiny"], "capabilities": ["chat"],
        "family": "llama", "parameter_size": "135M", "quantization": "Q8_0", "size_bytes": 94_000_000,
        "context_length": 8192, "license": "MIT", "status": "available", "backends": ["one"], "verifications": [],
        "verified_at": None, "updated_at": "2026-01-01T00:00:00Z",
    }  # fmt: skip
    return {**fields, **changes}


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, platform) -> Run:
    """Run `ollamanet …` in a pipe, logged in; what is ordered ends well unless a test says otherwise."""
    for variable in ("HOME", "XDG_CONFIG_HOME"):
        monkeypatch.setenv(variable, str(tmp_path))
    monkeypatch.setenv("OLLAMANET_URL", platform.url)
    login = Login(email="a@example.org", access_token="access-1", refresh_token="r", expires_at=time.time() + 900)
    TokenFile(tmp_path / "ollamanet" / "tokens.json").put(platform.url, login)
    platform.says(STREAM, Answer(events=(ACCEPTED, COMPLETED)))
    platform.says(STANDS, Answer(200, command()))

    def typed(*arguments: str, said: str = "") -> Result:
        out = CliRunner().invoke(app, list(arguments), input=said)
        assert out.exception is None or isinstance(out.exception, SystemExit), out.exception
        return out

    return typed


def test_a_pull_is_followed_to_its_end_and_told(run: Run, platform) -> None:
    platform.says(PULL, Answer(202, command(status="queued")))
    lines = (ACCEPTED, step(1, "pulling manifest"), layer(2, 0), layer(3, 94_000_000), step(4, "success"), COMPLETED)
    platform.says(STREAM, Answer(events=lines))
    out = run("models", "pull", "small", "--backend", "one", "--backend", "two", "--tag", "fast")
    assert (out.exit_code, out.stdout) == (0, "small is on one, two (94.0 MB in 12 s).\n")
    assert out.stderr == "one: pulling manifest\none: pulling 3f (94.0 MB)\none: success\n"
    (asked,) = platform.calls(PULL)
    assert asked.body == {"name": "small", "backends": ["one", "two"], "tags": ["fast"]}
    assert len(asked.headers["Idempotency-Key"]) >= 20


def test_an_order_whose_answer_is_lost_is_sent_again_under_its_key(run: Run, platform) -> None:
    platform.says(PULL, Answer(202, command(status="queued"), missing=9), Answer(202, command(status="queued")))
    assert run("models", "pull", "small").exit_code == 0
    first, second = platform.calls(PULL)
    assert first.headers["Idempotency-Key"] == second.headers["Idempotency-Key"]


def test_every_run_has_a_key_of_its_own(run: Run, platform) -> None:
    platform.says(PULL, Answer(202, command(status="queued")))
    run("models", "pull", "small")
    run("models", "pull", "small")
    assert len({one.headers["Idempotency-Key"] for one in platform.calls(PULL)}) == 2


def test_a_lost_stream_is_resumed_after_the_last_event(run: Run, platform) -> None:
    platform.says(PULL, Answer(202, command(status="queued")))
    platform.says(STREAM, Answer(events=(ACCEPTED, layer(2, 9)), missing=9), Answer(events=(COMPLETED,)))
    assert run("models", "pull", "small").exit_code == 0
    assert [one.headers.get("Last-Event-ID") for one in platform.calls(STREAM)] == [None, "1-2"]


def test_a_failure_is_told_with_its_code_and_where_it_is_done(run: Run, platform) -> None:
    platform.says(PULL, Answer(202, command(status="queued")))
    platform.says(STREAM, Answer(events=(ACCEPTED, ("1-9", "failed", FULL))))
    results = {"one": DONE, "two": {**DONE, "error": FULL}}
    platform.says(STANDS, Answer(200, command(status="failed", error=FULL, results=results)))
    out = run("models", "pull", "small")
    assert (out.exit_code, out.stdout) == (1, "")
    assert out.stderr == "PullModel of small failed (disk_full): two has no room left. Done on one.\n"


def test_a_detached_pull_prints_its_id_and_says_how_to_go_on(run: Run, platform) -> None:
    platform.says(PULL, Answer(202, command(status="queued")))
    out = run("models", "pull", "small", "--detach")
    assert (out.exit_code, out.stdout) == (0, "c1\n")
    assert "commands follow c1 · stop it:" in out.stderr
    assert not platform.calls(STREAM)


def test_as_json_the_command_is_printed_as_it_ended_or_was_accepted(run: Run, platform) -> None:
    platform.says(PULL, Answer(202, command(status="queued")))
    assert json.loads(run("models", "pull", "small", "--json").stdout) == command()
    assert json.loads(run("models", "pull", "small", "--json", "--detach").stdout) == command(status="queued")


def test_ctrl_c_leaves_it_running_and_says_so(
    platform, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    class Interrupted(progress.Lines):
        def see(self, event: Event) -> None:
            raise KeyboardInterrupt

    platform.says("POST /api/auth/login", Answer(200, {"access_token": "a", "refresh_token": "r", "expires_in": 900}))
    platform.says(STREAM, Answer(events=(ACCEPTED, step(1, "pulling manifest"))))
    monkeypatch.setattr(progress, "shown", Interrupted)
    with Client(platform.url) as client:
        client.log_in("a@example.org", "a long password")
        assert watched(client, "c1", lambda *_: 0) == 130
    assert capsys.readouterr().err.startswith("Still running: ")
    assert not platform.calls(f"POST {COMMANDS}/c1/cancel")


def test_nobody_there_is_told_at_once() -> None:
    class LoggedIn(Client):
        def token(self) -> str:
            return "a"

    with LoggedIn(f"http://127.0.0.1:{free_port()}") as client, pytest.raises(Unreachable):
        client.order("POST", MODELS, {})


@pytest.mark.parametrize(
    ("typed", "call", "body", "said"),
    [
        (("tag", "small", "a", "b"), f"PUT {MODELS}/small/tags", {"tags": ["a", "b"]}, "small has the tags a, b.\n"),
        (("tag", "small", "--clear"), f"PUT {MODELS}/small/tags", {"tags": []}, "small has no tags.\n"),
        (("describe", "small", "--license", ""), f"PATCH {MODELS}/small", {"license": ""}, "small is on one, two.\n"),
        (("alias", "best", "small"), "PUT /api/admin/aliases/best", {"model": "small"}, "best stands for small.\n"),
        (("alias", "--remove", "best"), "DELETE /api/admin/aliases/best", None, "best stands for nothing any more.\n"),
        (("copy", "small", "old"), f"POST {MODELS}/small/copy", {"destination": "old"}, "small is also old on one, two.\n"),
        (("retire", "small", "--undo"), f"POST {MODELS}/small/retire", {"retired": False}, "small is in Explore again.\n"),
        (("delete", "a/b:c", "-y", "--drain"), f"DELETE {MODELS}/a%2Fb%3Ac?drain=true", None, "small is on one, two.\n"),
    ],
    ids=("tag", "clear", "describe", "alias", "remove-alias", "copy", "retire-undo", "delete"),
)  # fmt: skip
def test_what_was_said_is_ordered(
    run: Run, platform, typed: tuple[str, ...], call: str, body: Mapping[str, object] | None, said: str
) -> None:
    platform.says(call, Answer(202, command(status="queued")))
    out = run("models", *typed)
    assert (out.exit_code, out.stdout, out.stderr) == (0, said, "")
    assert [one.body for one in platform.calls(call)] == [body]


def test_a_modelfile_is_read_from_a_file_or_standard_input(run: Run, platform, tmp_path: Path) -> None:
    platform.says(PULL, Answer(202, command("CreateModel", "queued")))
    (tmp_path / "Modelfile").write_text("FROM small\n")
    assert run("models", "create", "mine", "-f", str(tmp_path / "Modelfile")).exit_code == 0
    assert run("models", "create", "mine", "-f", "-", said="FROM small\n").exit_code == 0
    assert [one.body for one in platform.calls(PULL)] == [{"name": "mine", "modelfile": "FROM small\n"}] * 2
    assert run("models", "create", "mine", "-f", str(tmp_path / "none")).exit_code == 2


@pytest.mark.parametrize(
    "typed",
    [("tag", "small"), ("tag", "small", "a", "--clear"), ("describe", "small"), ("alias", "a"), ("alias", "--remove"), ("delete", "small")],
    ids=("no-tags", "tags-and-clear", "no-card", "alias-of-nothing", "remove-nothing", "nobody-to-ask"),
)  # fmt: skip
def test_half_an_order_is_none(run: Run, platform, typed: tuple[str, ...]) -> None:
    assert run("models", *typed).exit_code == 2
    assert not platform.asked


def test_a_model_that_is_not_there_is_told_with_where_to_look(run: Run) -> None:
    out = run("models", "verify", "none")
    assert out.exit_code == 1
    assert "There is no model none:" in out.stderr


def test_a_verification_is_a_line_for_each_server(run: Run, platform) -> None:
    well = {
        "backend": "one", "works": True, "digest": "same", "ttft_ms": 12, "tokens_per_second": 48.96, "continues": True,
        "error": None,
    }  # fmt: skip
    results = {"one": {**DONE, "detail": well}, "two": {**DONE, "error": FULL}}
    platform.says(f"POST {MODELS}/small/verify", Answer(202, command("VerifyModel", "queued")))
    platform.says(STANDS, Answer(200, command("VerifyModel", "failed", results=results, error=FULL)))
    out = run("models", "verify", "small")
    assert out.exit_code == 1
    assert out.stdout == "one\tyes\tsame\t12\t49.0\tyes\t\ntwo\tno\t\t\t\t\ttwo has no room left.\n"


def test_a_list_in_a_pipe_is_a_line_each_of_every_page(run: Run, platform) -> None:
    call = "GET /api/models?limit=100&tag=fast&sort=-size"
    platform.says(call, Answer(200, {"items": [model()], "next_cursor": "c"}))
    evil = model("best", alias_of="small", description="evil\x1b[2J\tword")
    platform.says(f"{call}&cursor=c", Answer(200, {"items": [evil], "next_cursor": None}))
    out = run("models", "list", "--tag", "fast", "--sort", "-size")
    assert out.stdout == (
        "small\t\tavailable\t94000000\t8192\tchat\tfast,tiny\tone\tQuick.\n"
        "best\tsmall\tavailable\t94000000\t8192\tchat\tfast,tiny\tone\tevil[2J word\n"
    )


@pytest.mark.parametrize("width", [40, 80])
def test_a_table_fits_the_terminal(width: int) -> None:
    out = io.StringIO()
    models_shown.as_table(Console(file=out, width=width), [model(), model(description="d" * 300, tags=["t" * 50] * 9)])
    assert all(len(line) <= width for line in out.getvalue().splitlines())


@pytest.mark.parametrize("width", [40, 80])
def test_bars_fit_the_terminal(width: int) -> None:
    out = io.StringIO()
    with Bars(Console(file=out, width=width, height=10, force_terminal=True, color_system=None)) as bars:
        for _, name, data in (step(1, "verifying sha256 digest"), layer(2, 47_000_000)):
            bars.see(Event(name, data))
        bars.see(Event("progress", {"backend": "b" * 63, "status": "pulling \x1b[2J" + "x" * 99, "total": 9}))
    text = out.getvalue()
    assert "50%" in text if width == 40 else "47.0 MB/94.0 MB" in text
    assert "\x1b[2J" not in text


def test_events_are_json_a_line_each(run: Run) -> None:
    out = run("commands", "follow", "c1", "--json")
    assert out.exit_code == 0
    assert [json.loads(line)["event"] for line in out.stdout.splitlines()] == ["accepted", "completed"]


def test_commands_are_listed_shown_and_cancelled(run: Run, platform) -> None:
    platform.says(
        f"GET {COMMANDS}?limit=30&status=failed", Answer(200, {"items": [command(error=FULL)], "next_cursor": None})
    )
    platform.says(f"POST {COMMANDS}/c1/cancel", Answer(202, command(status="running")), Answer(202, command()))
    listed = run("commands", "list", "--status", "failed").stdout
    assert (
        listed == "c1\t2026-01-01T00:00:00Z\tPullModel\tsmall\tcompleted\tone,two\tdisk_full: two has no room left.\n"
    )
    assert "model        small\n" in run("commands", "show", "c1").stdout
    assert run("commands", "cancel", "c1").stdout == "cancelled c1\n"
    assert run("commands", "cancel", "c1").exit_code == 1
