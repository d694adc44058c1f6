"""Real servers, one of each per test run, shared by all xdist workers and ended with the run."""

import fcntl
import json
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

RUN = "OLLAMANET_TEST_RUN"
"""Names the run's folder: <server>.json holds its URL and process ids, or why it is missing."""
ALIVE = "alive"
"""A named pipe in the run's folder whose other end the run holds: reading it ends when the run does, however that ends."""


def begin_run() -> None:
    """Called by the process that owns the run, before any worker starts."""
    os.environ[RUN] = tempfile.mkdtemp(prefix="ollamanet-tests-")
    alive = Path(os.environ[RUN]) / ALIVE
    os.mkfifo(alive)
    os.open(alive, os.O_RDWR)  # held until this process is gone; a reader alone would block


def end_run() -> list[str]:
    """End what the run started; the servers that were missing, one sentence each."""
    folder = Path(os.environ.pop(RUN))
    missing: list[str] = []
    for entry in folder.glob("*.json"):
        noted = json.loads(entry.read_text())
        for pid in noted.get("pids", ()):
            with suppress(ProcessLookupError):
                os.killpg(pid, signal.SIGKILL)
        if "missing" in noted:
            missing.append(noted["missing"])
    shutil.rmtree(folder, ignore_errors=True)
    return missing


def free_port() -> int:
    """A port of the loopback that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def shared_server(name: str, start: Callable[[Path], tuple[str, list[int]]]) -> str:
    """The URL of the run's one server of this name; whoever asks first starts it.

    `start(folder)` gives its URL and the ids of its process groups, or raises FileNotFoundError with the sentence that
    says what to install: then the test is skipped, or fails where CI=true.
    """
    folder = Path(os.environ[RUN])
    entry = folder / f"{name}.json"
    with (folder / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not entry.exists():
            own = folder / name
            own.mkdir()
            try:
                url, pids = start(own)
                entry.write_text(json.dumps({"url": url, "pids": pids}))
            except FileNotFoundError as error:
                entry.write_text(json.dumps({"missing": str(error)}))
    noted = json.loads(entry.read_text())
    if "missing" not in noted:
        return noted["url"]
    if os.environ.get("CI") == "true":
        pytest.fail(noted["missing"])
    pytest.skip(noted["missing"])


def spawn(command: list[str], log: Path, **options: object) -> subprocess.Popen[bytes]:
    """Start a process in a group of its own, its output in a file (never a pipe of the test run)."""
    with log.open("ab") as output:
        options.setdefault("stdin", subprocess.DEVNULL)
        process = subprocess.Popen(  # pyright: ignore[reportCallIssue]
            command, stdout=output, stderr=output, start_new_session=True, **options
        )
    _spawned.append(process)
    return process


_spawned: list[subprocess.Popen[bytes]] = []
"""Held until the end: a process that nobody holds is a ResourceWarning while it runs."""


def wait_until(ready: Callable[[], bool], process: subprocess.Popen[bytes], log: Path, seconds: float = 60) -> None:
    """Wait for a server to say it is ready; its log is in the error when it does not."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if process.poll() is not None:
            break
        with suppress(OSError):
            if ready():
                return
        time.sleep(0.05)  # noqa: TID251 - a synchronous start, before any loop runs
    raise RuntimeError(f"{process.args!r} did not become ready:\n{log.read_text()[-4000:]}")


def listens(port: int) -> bool:
    """Whether somebody accepts connections on that port of the loopback."""
    with socket.create_connection(("127.0.0.1", port), timeout=1):
        return True
