"""A server that speaks MongoDB's protocol: a private SecantusDB (a Python program over WiredTiger), or a real MongoDB by URL."""

import json
import os
import signal
import subprocess
import uuid
from collections.abc import Callable, Generator
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
from pymongo import MongoClient

from tests.servers.shared import RUN, free_port, listens, shared_server, spawn, wait_until

REAL = "OLLAMANET_TEST_MONGO_URL"
"""Names a real MongoDB for the tests; they make databases there, and drop them."""
PROGRAM = Path(__file__).parents[2] / ".tools" / "secantusdb" / "bin" / "secantusd-py"
MISSING = f"There is no MongoDB for the tests: run tests/servers/install_secantusdb.sh, or name one in {REAL}."


class MongoServer:
    """One private server; what it stored and its port outlive `stop`, `kill` and `start`.

    Raises FileNotFoundError with a sentence where it is not installed.
    """

    def __init__(self, folder: Path) -> None:
        if not PROGRAM.exists():
            raise FileNotFoundError(MISSING)
        self._folder = folder
        self._port = free_port()
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Without a database."""
        return f"mongodb://127.0.0.1:{self._port}"

    def start(self) -> None:
        """Start it, and return when it takes connections."""
        self._folder.mkdir(parents=True, exist_ok=True)
        log = self._folder / "secantusdb.log"
        command = [
            str(PROGRAM), "--host", "127.0.0.1", "--port", str(self._port), "--storage-path", str(self._folder / "data"),
            "--cache-size", "128M", "--log-level", "WARNING", "--sync-on-commit",
        ]  # fmt: skip
        self.process = spawn(command, log, cwd=self._folder)
        self._note(self.process.pid)
        wait_until(lambda: listens(self._port), self.process, log)

    def stop(self) -> None:
        """End it as an administrator would."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """End it as a power cut would."""
        self._end(signal.SIGKILL)

    def send(self, number: signal.Signals) -> None:
        """A signal to the running server: SIGSTOP freezes it, SIGCONT lets it go on."""
        if self.process is not None:
            self.process.send_signal(number)

    def restart(self) -> None:
        """Stop it and start it, on the same port, with the same data."""
        self.stop()
        self.start()

    def _end(self, number: signal.Signals) -> None:
        process, self.process = self.process, None
        if process is not None:
            process.send_signal(number)
            process.wait(30)
            self._note()

    def _note(self, *pids: int) -> None:
        """So that it ends with the run."""
        if run := os.environ.get(RUN):
            Path(run, f"mongo-{self._port}.json").write_text(json.dumps({"pids": pids}))


def _start(folder: Path) -> tuple[str, list[int]]:
    if real := os.environ.get(REAL):
        return real, []
    server = MongoServer(folder)
    server.start()
    assert server.process is not None
    return server.url, [server.process.pid]


@pytest.fixture(scope="session")
def new_mongo_url() -> Generator[Callable[[], str], None, None]:
    """The URL of a database that nobody else uses, at each call. On a real MongoDB they are dropped at the end."""
    made: list[str] = []

    def new() -> str:
        made.append(f"ollamanet_test_{uuid.uuid4().hex[:16]}")
        return with_database(shared_server("mongo", _start), made[-1])

    yield new
    if made and (real := os.environ.get(REAL)):
        with MongoClient(real) as client:
            for name in made:
                client.drop_database(name)


def with_database(url: str, name: str) -> str:
    """The URL with another database; who logs in is still looked up where it was."""
    parts = urlsplit(url)
    query = parts.query
    if parts.username and "authSource" not in parse_qs(query):
        query = "&".join(filter(None, (query, f"authSource={parts.path.lstrip('/') or 'admin'}")))
    return parts._replace(path=f"/{name}", query=query).geturl()
