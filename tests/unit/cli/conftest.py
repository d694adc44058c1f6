"""A scripted platform: answers what a test says, remembers what it was asked."""

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from tests.unit.cli.answers import Answer, Asked


@dataclass
class Scripted:
    """`answers`: by "METHOD /path", in order; the last one repeats."""

    url: str = ""
    answers: dict[str, list[Answer]] = field(default_factory=dict)
    asked: list[Asked] = field(default_factory=list)

    def says(self, call: str, *answers: Answer) -> None:
        self.answers[call] = list(answers)

    def answer(self, call: str) -> Answer:
        left = self.answers.get(call) or [Answer(404, {"code": "not_found", "detail": "There is no such thing."})]
        return left.pop(0) if len(left) > 1 else left[0]

    def calls(self, call: str) -> list[Asked]:
        return [one for one in self.asked if one.call == call]


def _handler(scripted: Scripted) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _serve(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            body = json.loads(self.rfile.read(length)) if length else None
            call = f"{self.command} {self.path}"
            scripted.asked.append(Asked(call, body, dict(self.headers)))
            answer = scripted.answer(call)
            content = answer.content()
            self.send_response(answer.status)
            self.send_header("Content-Length", str(len(content) + answer.missing))
            self.end_headers()
            self.wfile.write(content)
            self.close_connection = answer.missing > 0

        do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _serve  # noqa: N815 - the standard library's names

        def log_message(self, format: str, *args: object) -> None:
            """Nothing: the test knows what it asked."""

    return Handler


@pytest.fixture
def platform() -> Iterator[Scripted]:
    scripted = Scripted()
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(scripted))
    server.daemon_threads = True
    scripted.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield scripted
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def command(tmp_path: Path):
    """Run `ollamanet …` as a person whose home is empty."""

    def run(*arguments: str, said: str = "", **environment: str) -> subprocess.CompletedProcess[str]:
        home = {name: str(tmp_path) for name in ("HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME")}
        return subprocess.run(
            [sys.executable, "-m", "cli.main", *arguments], input=said, capture_output=True, text=True, timeout=30,
            env={**os.environ, **home, **environment}, check=False,
        )  # fmt: skip

    return run
