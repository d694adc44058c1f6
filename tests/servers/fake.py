"""The fake back-end, one for the run: both protocols, any number of callers. Tests know their own calls by what they asked."""

import sys
import urllib.request
from pathlib import Path

import pytest

from tests.servers.shared import free_port, shared_server, spawn, wait_until

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def fake_url() -> str:
    """Where the run's fake back-end answers; its log of calls is at `/_calls` and is never cleared."""
    return shared_server("fake", _start)


def _start(folder: Path) -> tuple[str, list[int]]:
    port = free_port()
    url, log = f"http://127.0.0.1:{port}", folder / "fake.log"
    process = spawn([sys.executable, "-m", "infra.fake", "--port", str(port)], log, cwd=ROOT)
    wait_until(lambda: _answers(f"{url}/api/version"), process, log)
    return url, [process.pid]


def _answers(url: str) -> bool:
    with urllib.request.urlopen(url, timeout=2) as response:
        return response.status == 200
