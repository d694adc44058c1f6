"""The command as it is typed: files, refusals, sentences."""

import subprocess
import sys
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from cli.datafolder import held, private
from cli.deployment import make_secrets
from cli.settings import EmbeddedSettings, is_loopback
from cli.typed import program, typed
from cli.up import refuse_open_doors, welcome
from infra.fernet.settings import cipher_of
from infra.process.failures import CannotStart, checked
from tests.servers.shared import free_port
from tests.unit.cli.answers import ACCEPTED, COMPLETED, Answer, token, tokens


def test_login_then_token_then_chat(command, platform) -> None:
    platform.says("POST /api/auth/signup", tokens())
    platform.says(
        "GET /api/models", Answer(200, {"items": [{"name": "down", "status": "unavailable"}, {"name": "small"}]})
    )
    platform.says("POST /api/chats/stream", Answer(events=(ACCEPTED, token(2, "Blue"), COMPLETED)))
    login = command(
        "login",
        "--signup",
        "--email",
        "a@example.org",
        "--password-stdin",
        said="a long password\n",
        OLLAMANET_URL=platform.url,
    )
    assert (login.returncode, login.stderr) == (0, "")
    assert platform.calls("POST /api/auth/signup")[0].body == {"email": "a@example.org", "password": "a long password"}
    assert command("token", OLLAMANET_URL=platform.url).stdout == "access-1\n"
    chat = command("chat", "Why is the sky blue?", OLLAMANET_URL=f"{platform.url}/")
    assert (chat.returncode, chat.stdout) == (0, "Blue\n")
    body = platform.calls("POST /api/chats/stream")[0].body
    assert body == {"model": "small", "content": "Why is the sky blue?"}


def test_a_conversation_is_read_from_a_pipe(command, platform) -> None:
    platform.says("POST /api/auth/login", tokens())
    platform.says("POST /api/chats/stream", Answer(events=(ACCEPTED, token(2, "Yes."), COMPLETED)))
    command(
        "login", "--email", "a@example.org", "--password-stdin", said="a long password\n", OLLAMANET_URL=platform.url
    )
    chat = command(
        "chat", "--model", "small", said="One?\n\nTwo?\n/new\n/model big\nThree?\n", OLLAMANET_URL=platform.url
    )
    assert (chat.returncode, chat.stdout) == (0, "Yes.\nYes.\nYes.\n")
    asked = [(one.body["model"], one.body.get("chat_id")) for one in platform.calls("POST /api/chats/stream")]
    assert asked == [("small", None), ("small", "c1"), ("big", None)]


def test_what_cannot_be_is_one_sentence(command) -> None:
    url = f"http://127.0.0.1:{free_port()}"
    out = command("token", OLLAMANET_URL=url)
    assert (out.returncode, len(out.stderr.splitlines())) == (1, 1)
    assert "not logged in" in out.stderr
    out = command("login", "--email", "a@example.org", "--password-stdin", said="x\n", OLLAMANET_URL=url)
    assert out.returncode == 1
    assert out.stderr.startswith(f"No platform answers at {url}. Start one with")


@pytest.mark.parametrize(
    ("arguments", "environment", "sentence"),
    [
        (("up", "--host", "0.0.0.0"), {}, "say --insecure"),
        (("up",), {"OLLAMANET_HOST": "::"}, "say --insecure"),
        (("up", "--port", "70000"), {}, "OLLAMANET_PORT is wrong"),
        (("up",), {"OLLAMANET_BACKENDS": "nonsense"}, "A setting is not valid JSON: OLLAMANET_BACKENDS"),
        (("up",), {"OLLAMANET_BACKENDS": '[{"name": "a"}]'}, "OLLAMANET_BACKENDS (0.kind) is wrong"),
        (("chat",), {"OLLAMANET_PORT": "many"}, "OLLAMANET_PORT is wrong"),
    ],
)
def test_a_wrong_setting_is_one_sentence_and_exit_2(
    command, arguments: tuple[str, ...], environment: dict[str, str], sentence: str
) -> None:
    out = command(*arguments, **environment)
    assert (out.returncode, len(out.stderr.splitlines())) == (2, 1)
    assert sentence in out.stderr


def test_a_new_key_is_private_and_never_overwritten(command, tmp_path: Path) -> None:
    file = tmp_path / "keys.pem"
    assert command("keys", "new", str(file)).returncode == 0
    assert file.stat().st_mode & 0o777 == 0o600
    assert isinstance(load_pem_private_key(file.read_bytes(), None), Ed25519PrivateKey)
    before = file.read_bytes()
    again = command("keys", "new", str(file))
    assert (again.returncode, file.read_bytes()) == (2, before)
    assert "is not overwritten" in again.stderr
    assert command("keys", "new", str(tmp_path / "nowhere" / "keys.pem")).returncode == 2


def test_a_key_for_secrets_is_made_once_and_for_its_owner_alone(command, tmp_path: Path) -> None:
    file = tmp_path / "secrets.key"
    made = command("keys", "secrets", str(file))
    assert (made.returncode, made.stdout) == (0, f"{file} is written: OLLAMANET_SECRETS_KEY_FILE={file}\n")
    assert file.stat().st_mode & 0o777 == 0o600
    before = file.read_bytes()
    cipher = cipher_of(file, "it")
    assert cipher.decrypted(cipher.encrypted("sk-1")) == "sk-1"
    assert command("keys", "secrets", str(file)).returncode == 2
    assert file.read_bytes() == before


def test_help_imports_none_of_what_commands_need() -> None:
    script = "import sys, cli.main; print([n for n in ('httpx', 'pydantic', 'rich.console', 'uvicorn', 'orjson') if n in sys.modules])"
    out = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"


def test_the_data_folder_is_private_and_used_by_one_platform_at_a_time(tmp_path: Path) -> None:
    with held(tmp_path / "a" / "data") as folder:
        assert folder.stat().st_mode & 0o777 == 0o700
        with pytest.raises(CannotStart, match="Another platform runs"), held(folder):
            pass
    with held(folder):
        (folder / "ollamanet.db").touch()
    folder.chmod(0o755)
    assert private(folder).stat().st_mode & 0o777 == 0o700


def test_a_folder_that_holds_something_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "photos").touch()
    tmp_path.chmod(0o755)
    with pytest.raises(CannotStart, match="holds something else"):
        private(tmp_path)
    assert tmp_path.stat().st_mode & 0o777 == 0o755
    with pytest.raises(CannotStart, match="is a file"):
        private(tmp_path / "photos")


@pytest.mark.parametrize(
    ("host", "loopback"),
    [("127.0.0.1", True), ("127.9.9.9", True), ("::1", True), ("localhost", True), ("0.0.0.0", False), ("::", False),
     ("192.168.0.1", False), ("example.org", False), ("localhost.example.org", False)],
)  # fmt: skip
def test_only_a_loopback_address_is_a_loopback_address(host: str, loopback: bool) -> None:
    assert is_loopback(host) is loopback


def test_a_public_address_is_served_behind_a_proxy_or_when_told_so(tmp_path: Path) -> None:
    refuse_open_doors(EmbeddedSettings(host="0.0.0.0", behind_proxy=True, data=tmp_path))
    refuse_open_doors(EmbeddedSettings(host="0.0.0.0", insecure=True, data=tmp_path))
    with pytest.raises(CannotStart):
        refuse_open_doors(EmbeddedSettings(host="0.0.0.0", data=tmp_path))


def test_commands_are_told_as_they_can_be_typed_here(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    scripts = Path(sys.executable).parent
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.chdir(scripts.parent)
    assert program() == f"{scripts.name}/ollamanet"
    monkeypatch.setenv("PATH", str(scripts))
    assert typed("chat") == "ollamanet chat"
    lines = welcome("http://127.0.0.1:9000", EmbeddedSettings(data=tmp_path), ["small"])
    assert "  OLLAMANET_URL=http://127.0.0.1:9000 ollamanet chat" in lines
    assert any("$(OLLAMANET_URL=http://127.0.0.1:9000 ollamanet token)" in line for line in lines)
    lines = welcome("http://127.0.0.1:8080", EmbeddedSettings(data=tmp_path), ["small"])
    assert "  ollamanet chat" in lines


def test_a_wrong_settings_sentence_never_shows_a_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OLLAMANET_BACKENDS", '[{"name": "a", "kind": "b", "url": "http://x", "api_key": ["hunter2"]}]')
    with pytest.raises(CannotStart) as refused:
        checked(EmbeddedSettings)
    assert "hunter2" not in str(refused.value)


def test_deployment_secrets_are_made_once_and_fit_together(tmp_path: Path) -> None:
    made = list(make_secrets(tmp_path))
    assert len(made) == len(set(made)) == 9
    assert list(make_secrets(tmp_path)) == []
    for server in ("rabbitmq", "redis", "mongo"):
        password = (tmp_path / server / "password").read_text()
        assert len(password) >= 40
        assert password in (tmp_path / "platform" / f"{server}_url").read_text()


def test_the_demo_lives_a_persons_journey(command, platform) -> None:
    platform.says("GET /readyz", Answer(200, {}))
    platform.says("POST /api/auth/signup", tokens())
    platform.says("POST /api/auth/login", tokens(2))
    platform.says("GET /api/models", Answer(200, {"items": []}), Answer(200, {"items": [{"name": "small"}]}))
    platform.says("POST /api/chats/stream", Answer(events=(ACCEPTED, token(2, "Because."), COMPLETED)))
    platform.says("GET /api/chats", Answer(200, {"items": [{"id": "c1", "title": "Why?"}]}))
    out = command("demo", "Why?", OLLAMANET_URL=platform.url)
    assert (out.returncode, out.stderr) == (0, "")
    told = [line.split(" ")[0] for line in out.stdout.splitlines() if line]
    assert told == ["The", "signed", "logged", "asking", "Because.", "completed", "chats"]
    assert "'Why?'" in out.stdout
    assert platform.calls("POST /api/chats/stream")[0].headers["Authorization"] == "Bearer access-2"
