"""README's lines work as printed: on a platform with the real small model, started as `make run` starts it."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.compositions import answers
from tests.servers.shared import spawn, wait_until

README = (Path(__file__).parents[3] / "README.md").read_text()
USUAL = "http://127.0.0.1:8080"


def lines(word: str) -> list[str]:
    """The shell lines of README that begin with this word, continued ones joined."""
    blocks = re.findall(r"```sh\n(.*?)```", README, re.DOTALL)
    whole = "\n".join(blocks).replace("\\\n", " ")
    return [line for line in whole.splitlines() if line.startswith(word)]


@pytest.fixture(scope="module")
def shell(tmp_path_factory: pytest.TempPathFactory) -> Iterator["Shell"]:
    pytest.importorskip("xllamacpp", reason="the small model's server is not installed: make setup")
    home = tmp_path_factory.mktemp("home")
    own = {name: str(home) for name in ("HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME")}
    environment = {
        **os.environ,
        **own,
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "OLLAMANET_BACKENDS": "",
    }
    address, log = home / "url", home / "log"
    command = [
        "ollamanet",
        "up",
        "--port",
        "0",
        "--data",
        str(home / "data"),
        "--backend",
        "local",
        "--url-file",
        str(address),
    ]
    process = spawn(command, log, env=environment)
    try:
        wait_until(lambda: address.exists() and answers(f"{address.read_text()}/readyz"), process, log)
        yield Shell(environment, address.read_text())
    finally:
        process.terminate()
        assert process.wait(30) == 0


class Shell:
    """A terminal in which README is typed; only the platform's address is this run's own."""

    def __init__(self, environment: dict[str, str], url: str) -> None:
        self._environment = {**environment, "OLLAMANET_URL": url}
        self._url = url

    def types(self, line: str, said: str = "") -> str:
        out = subprocess.run(
            ["bash", "-c", line.replace(USUAL, self._url)], input=said, capture_output=True, text=True, timeout=60,
            env=self._environment, check=False,
        )  # fmt: skip
        assert out.returncode == 0, out.stderr
        return out.stdout


def test_readmes_lines_work_as_printed(shell: Shell) -> None:
    (login,) = lines("ollamanet login")
    shell.types(f"{login} --email reader@example.org --password-stdin", said="a long password\n")
    models, ask, chats = lines("curl")
    model = re.search(r'"model": "([^"]+)"', ask)
    assert model is not None
    assert f'"name":"{model[1]}"' in shell.types(models).replace(" ", "")
    said = shell.types(ask)
    assert re.findall(r"^event: (\w+)$", said, re.MULTILINE)[-1] == "completed"
    assert "Why is the sky blue?" in shell.types(chats)
    assert shell.types('ollamanet chat "And at night?"').strip()


def test_the_demo_lives_on_the_platform_that_answers(shell: Shell) -> None:
    assert "completed" in shell.types("ollamanet demo")
