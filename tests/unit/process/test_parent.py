"""Servers that the platform starts for itself: none outlives it, however it ends."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Generator

import pytest

from tests.eventually import eventually
from tests.servers.shared import free_port

PARENT = """
import subprocess, sys
held = [sys.executable, "-m", "infra.fake", "--held", "--port", sys.argv[1]]
child = subprocess.Popen(held, stdin=subprocess.PIPE, start_new_session=True)
print(child.pid, flush=True)
child.wait()
"""


@pytest.fixture
def port() -> int:
    return free_port()


@pytest.fixture
def parent(port: int) -> Generator[subprocess.Popen[str], None, None]:
    """It holds a fake back-end on that port."""
    command = [sys.executable, "-c", PARENT, str(port)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        child = int(process.stdout.readline())
        yield process
        for one in (process.pid, child):
            try:
                os.kill(one, signal.SIGKILL)
            except ProcessLookupError:
                continue


async def test_what_a_platform_held_ends_when_it_is_killed(parent: subprocess.Popen[str], port: int) -> None:
    await eventually(lambda: _listens(port))
    parent.kill()
    await eventually(lambda: not _listens(port))


def _listens(port: int) -> bool:
    with socket.socket() as caller:
        return caller.connect_ex(("127.0.0.1", port)) == 0
