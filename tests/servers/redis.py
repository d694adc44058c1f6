"""Redis: one private server a run (or the one that OLLAMANET_TEST_REDIS_URL names), a new database number at each call."""

import itertools
import json
import os
import shutil
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.servers.shared import RUN, free_port, listens, shared_server, spawn, wait_until

DATABASES = 1024
NEEDED = "redis-server is missing: install Redis 7 (Debian: apt install redis-server), or name one in OLLAMANET_TEST_REDIS_URL."


class RedisServer:
    """A private server, its data in `folder`. It keeps port and data over stop, kill and start; end it with `stop`."""

    def __init__(self, folder: Path) -> None:
        """FileNotFoundError says what to install."""
        found = shutil.which("redis-server")
        if found is None:
            raise FileNotFoundError(NEEDED)
        self._program = found
        self._folder = folder
        self._log = folder / "redis.log"
        self.port = free_port()
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Its database 0."""
        return f"redis://127.0.0.1:{self.port}/0"

    def start(self, *options: str) -> None:
        """Start it; returned = it answers. `options` come after ours, as in ("--maxmemory", "4mb")."""
        self._folder.mkdir(parents=True, exist_ok=True)
        command = [
            self._program, "--port", str(self.port), "--bind", "127.0.0.1", "--dir", str(self._folder), "--save", "",
            "--appendonly", "yes", "--maxmemory-policy", "noeviction", "--databases", str(DATABASES), *options,
        ]  # fmt: skip
        self.process = spawn(command, self._log)
        self._note(self.process.pid)
        try:
            wait_until(lambda: listens(self.port), self.process, self._log)
        except BaseException:
            self.kill()
            raise

    def stop(self) -> None:
        """End it as an administrator would: what it holds is on disk."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """End it as a crash would."""
        self._end(signal.SIGKILL)

    def restart(self) -> None:
        """Stop it and start it, on the same port, with the same data."""
        self.stop()
        self.start()

    def send(self, number: signal.Signals) -> None:
        """A signal to the running server: SIGSTOP freezes it, SIGCONT lets it go on."""
        if self.process is not None:
            self.process.send_signal(number)

    def _end(self, number: signal.Signals) -> None:
        process, self.process = self.process, None
        if process is not None:
            process.send_signal(number)
            process.send_signal(signal.SIGCONT)
            process.wait(timeout=20)
            self._note()

    def _note(self, *pids: int) -> None:
        """So that it ends with the run, however that ends."""
        if run := os.environ.get(RUN):
            Path(run, f"redis-{self.port}.json").write_text(json.dumps({"pids": pids}))


@pytest.fixture(scope="session")
def new_redis_url(worker_number: int) -> Callable[[], str]:
    """`new_redis_url()`: the URL of a database that nobody else in this run uses."""
    server = os.environ.get("OLLAMANET_TEST_REDIS_URL") or shared_server("redis", _start)
    workers = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    numbers = itertools.count(worker_number, workers)

    def new() -> str:
        number = next(numbers)
        if number >= DATABASES:
            raise RuntimeError(f"All {DATABASES} databases of the tests' Redis are given out.")
        return f"{server.rstrip('/').removesuffix('/0')}/{number}"

    return new


def _start(folder: Path) -> tuple[str, list[int]]:
    server = RedisServer(folder)
    server.start()
    assert server.process is not None
    return server.url, [server.process.pid]
