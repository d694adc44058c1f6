"""The small model's server as a process: it comes with its platform and never outlives it."""

import asyncio
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from contracts.commands import SamplingOptions, Turn
from contracts.errors import Unavailable
from contracts.ports.backend import ChatRequest, Done
from infra.backends.opening import opened
from infra.local import server as local
from infra.local import weights
from infra.local.server import LocalModelServer
from tests.eventually import eventually
from tests.servers.shared import spawn

ROOT = Path(__file__).parents[3]
PARENT = """
import asyncio, signal, sys
from pathlib import Path
from infra.local.server import LocalModelServer

async def main():
    folder = Path(sys.argv[1])
    async with LocalModelServer(folder) as settings:
        (folder / "url.part").write_text(settings.url)
        (folder / "url.part").rename(folder / "url")
        await asyncio.Event().wait()

signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job ignores it
asyncio.run(main())
"""


@pytest.fixture(autouse=True)
def _installed() -> None:
    """Skipped, or failed in CI, where there is no small model."""
    try:
        weights.installed()
    except FileNotFoundError as error:
        if os.environ.get("CI") == "true":
            pytest.fail(str(error))
        pytest.skip(str(error))


def serving(url: str) -> list[int]:
    """The processes that serve the small model at this URL."""
    port = f"--port {urlsplit(url).port} "
    listed = subprocess.run(["ps", "-A", "-o", "pid=,stat=,args="], capture_output=True, text=True, check=True).stdout
    fields = (line.split(None, 2) for line in listed.splitlines())
    return [
        int(pid) for pid, stat, command in fields if "infra.local" in command and port in command and stat[0] != "Z"
    ]


async def test_it_is_there_while_inside_and_gone_afterwards(tmp_path: Path) -> None:
    async with asyncio.timeout(30):
        async with LocalModelServer(tmp_path, name="own", slots=2) as settings:
            assert (settings.name, settings.kind, settings.slots) == ("own", "openai", 2)
            assert urlsplit(settings.url).hostname == "127.0.0.1"
            assert len(serving(settings.url)) == 1
            async with opened(settings, allow_private=True) as backend:
                (model,) = await backend.models()
                assert (model.name, model.context_length) == (weights.NAME, weights.CONTEXT)
                hello = Turn(role="user", content="Hello.")
                request = ChatRequest(model=model.name, context=(hello,), options=SamplingOptions(max_tokens=3))
                pieces = [piece async for piece in backend.chat(request)]
                assert isinstance(pieces[-1], Done)
        assert serving(settings.url) == []
    assert "listening" in (tmp_path / "small-model.log").read_text()


async def test_it_is_gone_after_an_error_inside(tmp_path: Path) -> None:
    seen = ""

    async def failing() -> None:
        nonlocal seen
        async with LocalModelServer(tmp_path) as settings:
            seen = settings.url
            raise RuntimeError("something else broke")

    with pytest.raises(RuntimeError, match="something else broke"):
        await failing()
    assert serving(seen) == []


async def test_it_is_gone_when_its_start_is_cancelled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    probed: list[str] = []
    healthy = local._healthy

    async def never(http: object, url: str) -> bool:
        await healthy(http, url)  # type: ignore[arg-type]
        probed.append(url)
        return False

    monkeypatch.setattr(local, "_healthy", never)
    starting = asyncio.create_task(LocalModelServer(tmp_path).__aenter__())
    await eventually(lambda: probed and serving(probed[0]))
    starting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await starting
    assert serving(probed[0]) == []


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
async def test_it_ends_with_its_parent_however_that_ends(tmp_path: Path, number: signal.Signals) -> None:
    parent = spawn([sys.executable, "-c", PARENT, str(tmp_path)], tmp_path / "parent.log", cwd=ROOT)
    url = tmp_path / "url"
    servers: list[int] = []
    try:
        await eventually(url.exists, seconds=30)
        servers = serving(url.read_text())
        assert len(servers) == 1
        parent.send_signal(number)
        parent.wait(10)
        await eventually(lambda: serving(url.read_text()) == [], seconds=15)
    finally:
        parent.kill()
        parent.wait(10)
        for one in servers:
            with suppress(ProcessLookupError):
                os.kill(one, signal.SIGKILL)


async def test_ctrl_c_is_for_the_parent_to_handle(tmp_path: Path) -> None:
    async with LocalModelServer(tmp_path) as settings:
        (one,) = serving(settings.url)
        os.kill(one, signal.SIGINT)
        async with opened(settings, allow_private=True) as backend:
            assert await backend.models()


async def test_a_server_that_does_not_start_says_where_its_log_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        monkeypatch.setattr(local, "_free_port", lambda: taken.getsockname()[1])
        with pytest.raises(Unavailable, match=r"did not start; its log is .*small-model\.log"):
            await LocalModelServer(tmp_path).__aenter__()
    assert "Failed to init server" in (tmp_path / "small-model.log").read_text()


@pytest.mark.parametrize(
    ("missing", "sentence"),
    [
        ("PACKAGE", "The small model's weights are not installed here: run `make setup`."),
        ("SERVER", "The small model's server is not installed here: run `make setup`."),
    ],
)
async def test_what_is_missing_is_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, missing: str, sentence: str
) -> None:
    monkeypatch.setattr(weights, missing, "no_such_package")
    with pytest.raises(FileNotFoundError) as failed:
        await LocalModelServer(tmp_path).__aenter__()
    assert str(failed.value) == sentence
    assert not (tmp_path / "small-model.log").exists()


@pytest.mark.parametrize("missing", ["PACKAGE", "SERVER"])
def test_the_command_says_what_is_missing_and_nothing_else(missing: str) -> None:
    code = f"import infra.local.weights as w; w.{missing} = 'no_such_package'; from infra.local.__main__ import main; main()"
    run: Callable[..., subprocess.CompletedProcess[str]] = subprocess.run
    out = run(
        [sys.executable, "-c", code, "--port", "1"], cwd=ROOT, capture_output=True, text=True, timeout=30, check=False
    )
    assert (out.returncode, out.stdout) == (2, "")
    assert out.stderr.strip().endswith("not installed here: run `make setup`.")
    assert len(out.stderr.splitlines()) == 1
