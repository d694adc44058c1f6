"""A small registry of models, one for the run, that a real Ollama pulls the small model from. `python -m tests.servers.registry --port 1`.

Models are chosen by name, and each has weights of its own: `library/smollm2:<any>` comes as fast as it can, `library/slow-1000000:<any>`
at so many bytes a second on each connection, `library/wrong:<any>` with weights of another digest, `library/silent:<any>` sends nothing
of its weights; there are no others.
"""

import argparse
import json
import re
import sys
import time
import urllib.request
from dataclasses import asdict, dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Event

import pytest

from infra.local.weights import weights
from tests.servers.registered import MANIFEST, Blob, Request, Shelf
from tests.servers.shared import free_port, shared_server, spawn, wait_until

ROOT = Path(__file__).parents[2]
MISSING = b'{"errors":[{"code":"MANIFEST_UNKNOWN","message":"manifest unknown"}]}'


@dataclass(frozen=True)
class Registry:
    """A running one. `host`: `127.0.0.1:<port>`."""

    host: str

    def model(self, name: str, tag: str) -> str:
        """What Ollama calls it."""
        return f"{self.host}/library/{name}:{tag}"

    def manifest(self, model: str) -> bytes:
        """Its manifest, byte by byte."""
        name, tag = model.split("/", 1)[1].rsplit(":", 1)
        return self._get(f"/v2/{name}/manifests/{tag}")

    def weights(self, model: str) -> tuple[str, int]:
        """Digest and bytes of its weights."""
        first = json.loads(self.manifest(model))["layers"][0]
        return first["digest"], first["size"]

    def requests(self, digest: str) -> list[Request]:
        """Those for its bytes, in order."""
        return [Request(**one) for one in json.loads(self._get(f"/_requests/{digest}"))]

    def _get(self, path: str) -> bytes:
        with urllib.request.urlopen(f"http://{self.host}{path}", timeout=10) as response:
            return response.read()


@pytest.fixture(scope="session")
def registry() -> Registry:
    """The run's."""
    return Registry(shared_server("registry", _start).removeprefix("http://"))


def _start(folder: Path) -> tuple[str, list[int]]:
    weights()
    port = free_port()
    url, log = f"http://127.0.0.1:{port}", folder / "registry.log"
    process = spawn([sys.executable, "-m", "tests.servers.registry", "--port", str(port)], log, cwd=ROOT)
    wait_until(lambda: _answers(f"{url}/v2/"), process, log)
    return url, [process.pid]


def _answers(url: str) -> bool:
    with urllib.request.urlopen(url, timeout=2) as response:
        return response.status == 200


class Handler(BaseHTTPRequestHandler):
    """Its answers."""

    protocol_version = "HTTP/1.1"
    shelf: Shelf
    port: int

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        path: list[str] = self.path.strip("/").split("/")
        match path:
            case ["v2"]:
                self._answer(200, b"{}")
            case ["v2", "library", name, "manifests", tag]:
                said = self.shelf.manifest(name, tag)
                self._answer(404 if said is None else 200, said or MISSING, kind=MANIFEST)
            case ["v2", "library", _, "blobs", digest] if digest in self.shelf.blobs:
                length = self.shelf.length(digest)
                # another host's name: Ollama goes on from what redirects to the same one, and finds no address to fetch parts from
                where = f"http://localhost:{self.port}/blobs/{digest}"
                head = self.command == "HEAD"
                self._answer(200 if head else 307, b"", {} if head else {"Location": where}, length if head else 0)
            case ["blobs", digest] if digest in self.shelf.blobs:
                self._send(digest, self.shelf.blobs[digest])
            case ["_requests", digest]:
                self._answer(200, json.dumps([asdict(one) for one in self.shelf.log if one.digest == digest]).encode())
            case _:
                self._answer(404, b"{}")

    def _answer(
        self, status: int, body: bytes, headers: dict[str, str] | None = None, length: int | None = None, kind: str = ""
    ) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind or "application/json")
        self.send_header("Content-Length", str(len(body) if length is None else length))
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def _send(self, digest: str, blob: Blob) -> None:
        """The bytes that were asked for, at the blob's pace."""
        length = self.shelf.length(digest)
        asked = re.fullmatch(r"bytes=(\d+)-(\d*)", str(self.headers.get("Range", "")))
        first, end = (int(asked[1]), min(length, int(asked[2] or length) + 1)) if asked else (0, length)
        where = {"Content-Range": f"bytes {first}-{end - 1}/{length}"} if asked else {}
        request = self.shelf.request(digest, first)
        try:
            self._answer(206 if asked else 200, b"", where, end - first, "application/octet-stream")
            for piece in self.shelf.pieces(blob, first, end):
                if blob.pace is None:
                    Event().wait(3600)
                self.wfile.write(piece)
                request.sent += len(piece)
                if blob.pace:
                    due = request.began_at + request.sent / blob.pace
                    time.sleep(max(0.0, due - time.time()))  # noqa: TID251 - a thread of a process of its own
        except ConnectionError:
            self.close_connection = True
        finally:
            request.ended_at = time.time()

    def log_message(self, format: str, *args: object) -> None:
        """Nothing: the log of requests is kept."""


def main() -> None:
    """Serve until it is killed."""
    parser = argparse.ArgumentParser("python -m tests.servers.registry")
    parser.add_argument("--port", type=int, required=True)
    Handler.shelf, Handler.port = Shelf(), parser.parse_args().port
    server = ThreadingHTTPServer(("127.0.0.1", Handler.port), Handler)
    server.daemon_threads = True
    server.serve_forever()


if __name__ == "__main__":
    main()
