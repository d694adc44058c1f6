"""`ollamanet api-keys`, as a person types it."""

import json
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from cli.keyring import moment
from cli.main import app
from cli.tokens import Login, TokenFile
from infra.process.failures import CannotStart
from tests.unit.cli.answers import Answer

Run = Callable[..., Result]
KEYS = "/api/auth/keys"
NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)


def key(number: int = 1, **changes: object) -> dict[str, object]:
    fields = {
        "id": f"01930000-0000-7000-8000-{number:012}", "name": "notebook", "prefix": "on_abcdefgh", "scopes": ["chat", "read"],
        "created_at": "2026-01-01T00:00:00Z", "last_used_at": None, "expires_at": None,
    }  # fmt: skip
    return {**fields, **changes}


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, platform) -> Run:
    """Run `ollamanet api-keys …` in a pipe, logged in."""
    for variable in ("HOME", "XDG_CONFIG_HOME"):
        monkeypatch.setenv(variable, str(tmp_path))
    monkeypatch.setenv("OLLAMANET_URL", platform.url)
    login = Login(email="a@example.org", access_token="access-1", refresh_token="r", expires_at=time.time() + 900)
    TokenFile(tmp_path / "ollamanet" / "tokens.json").put(platform.url, login)

    def typed(*arguments: str, said: str = "") -> Result:
        out = CliRunner().invoke(app, ["api-keys", *arguments], input=said)
        assert out.exception is None or isinstance(out.exception, SystemExit), out.exception
        return out

    return typed


def test_a_pipe_gets_the_secret_and_nothing_else(run: Run, platform) -> None:
    platform.answers[f"POST {KEYS}"] = [Answer(201, key(secret="on_secret"))]
    out = run("create", "notebook", "--scope", "chat", "--expires", "90d")
    assert (out.exit_code, out.stdout) == (0, "on_secret\n")
    assert "not shown again" in out.stderr
    assert f"OPENAI_BASE_URL={platform.url}/v1" in out.stderr
    assert "api-keys revoke 01930000-0000-7000-8000-000000000001" in out.stderr


def test_create_as_json(run: Run, platform) -> None:
    platform.answers[f"POST {KEYS}"] = [Answer(201, key(secret="on_secret"))]
    out = run("create", "notebook", "--json")
    assert json.loads(out.stdout) == key(secret="on_secret")
    assert out.stderr == ""


def test_list_in_a_pipe_is_a_line_each(run: Run, platform) -> None:
    platform.answers[f"GET {KEYS}?limit=100"] = [
        Answer(200, {"items": [key(2, name="evil\x1b[2J\nname"), key()], "next_cursor": None})
    ]
    first, second = run("list").stdout.splitlines()
    assert "\x1b" not in first
    assert second == (
        "01930000-0000-7000-8000-000000000001\ton_abcdefgh\tchat,read\t2026-01-01T00:00:00Z\t\t\tnotebook"
    )


def test_no_keys_says_how_to_make_one(run: Run, platform) -> None:
    platform.answers[f"GET {KEYS}?limit=100"] = [Answer(200, {"items": [], "next_cursor": None})]
    out = run("list")
    assert (out.exit_code, out.stdout) == (0, "")
    assert "api-keys create NAME" in out.stderr


def test_revoke_needs_somebody_to_agree(run: Run, platform) -> None:
    out = run("revoke", "k1")
    assert out.exit_code == 2
    assert "say --yes" in out.stderr


def test_revoke_tells_which_were_not_there(run: Run, platform) -> None:
    platform.answers[f"DELETE {KEYS}/k1"] = [Answer(204, None)]
    platform.answers[f"DELETE {KEYS}/k2"] = [Answer(404, {"code": "not_found", "detail": "There is no such key."})]
    out = run("revoke", "--yes", "k1", "k2", "k1")
    assert out.exit_code == 1
    assert out.stdout == "revoked k1\n"
    assert "You have no API key k2" in out.stderr


@pytest.mark.parametrize(
    ("typed", "hours"),
    [("12h", 12), ("90d", 90 * 24), ("8W", 8 * 7 * 24), (" 1y ", 365 * 24), ("2026-01-02T12:00Z", 24)],
)
def test_when_a_key_ends(typed: str, hours: int) -> None:
    assert moment(typed, NOW) == NOW + timedelta(hours=hours)


@pytest.mark.parametrize("typed", ["", "soon", "0d", "-1d", "99999y9", "1m", "2025-01-01", "9" * 400 + "y"])
def test_when_no_key_ends(typed: str) -> None:
    with pytest.raises(CannotStart, match="--expires"):
        moment(typed, NOW)
