"""The real small model (`infra/local`), one server for the run."""

import os
import sys
import urllib.request
from pathlib import Path

import pytest

from contracts.records import BackendSettings
from infra.local.weights import installed
from tests.servers.shared import ALIVE, RUN, free_port, shared_server, spawn, wait_until

ROOT = Path(__file__).parents[2]
SLOTS = 4


@pytest.fixture(scope="session")
def small_model() -> BackendSettings:
    """A running server of the small model; its only model is infra.local.weights.NAME."""
    return BackendSettings(name="small-model", kind="openai", url=shared_server("small-model", _start), slots=SLOTS)


def _start(folder: Path) -> tuple[str, list[int]]:
    installed()
    port = free_port()
    url, log = f"http://127.0.0.1:{port}", folder / "small-model.log"
    command = [sys.executable, "-m", "infra.local", "--port", str(port), "--slots", str(SLOTS)]
    # its standard input ends with the run, and so does it; a pipe of this process would end with this xdist worker
    with (Path(os.environ[RUN]) / ALIVE).open("rb", buffering=0) as alive:
        process = spawn(command, log, stdin=alive, cwd=ROOT)
    wait_until(lambda: _healthy(url), process, log)
    return url, [process.pid]


def _healthy(url: str) -> bool:
    with urllib.request.urlopen(f"{url}/health", timeout=2) as response:
        return response.status == 200
