"""A process from settings to exit code, as a real process."""

import os
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import orjson
import pytest

from tests.eventually import eventually
from tests.servers.shared import free_port, spawn

SERVICE = """
import asyncio
from contracts.errors import Unavailable
from infra.process.failures import CannotStart
from infra.process.run import run
from contextlib import asynccontextmanager
from pathlib import Path

@asynccontextmanager
async def server():
    if not Path("server-is-there").exists():
        raise Unavailable("redis://name:hunter2@nowhere does not answer.")
    yield "open"
    Path("closed").touch()

async def check():
    if Path("broken").exists():
        raise Unavailable("it went away")

async def main(process):
    if Path("cannot").exists():
        raise CannotStart("The key file is missing: make one with ollamanet keys new.")
    if Path("crash").exists():
        raise RuntimeError("this is a fault")
    async with process.opened("redis", server):
        process.ops.ready_when({"redis": check})
        await process.stop.wait()
        while Path("busy").exists():
            await asyncio.sleep(0.01)

run("thing", ops_port=0, main=main)
"""
Start = Callable[..., subprocess.Popen[bytes]]


@pytest.fixture
def ops_port() -> int:
    return free_port()


@pytest.fixture
def start(tmp_path: Path, ops_port: int) -> Iterator[Start]:
    started: list[subprocess.Popen[bytes]] = []

    def begin(**environment: str) -> subprocess.Popen[bytes]:
        own = {"PYTHONPATH": str(Path.cwd()), "OLLAMANET_OPS_PORT": str(ops_port), **environment}
        process = spawn([sys.executable, "-c", SERVICE], tmp_path / "log", env={**os.environ, **own}, cwd=tmp_path)
        started.append(process)
        return process

    yield begin
    for process in started:
        process.kill()
        process.wait()


def asked(port: int, path: str = "/readyz") -> tuple[int, str]:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=5) as response:
            return response.status, response.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()
    except OSError:
        return 0, ""


async def test_a_server_that_is_down_is_waited_for_and_readiness_names_it(
    start: Start, tmp_path: Path, ops_port: int
) -> None:
    process = start()
    await eventually(lambda: asked(ops_port)[0] == 503 and "redis" in asked(ops_port)[1])
    assert asked(ops_port, "/livez")[0] == 200
    (tmp_path / "server-is-there").touch()
    await eventually(lambda: asked(ops_port)[0] == 200)
    (tmp_path / "broken").touch()
    status, body = asked(ops_port)
    assert (status, orjson.loads(body)["missing"]) == (503, {"redis": "it went away"})
    assert "python_info" in asked(ops_port, "/metrics")[1]
    process.send_signal(signal.SIGTERM)
    assert process.wait(10) == 0
    assert (tmp_path / "closed").exists()
    log = (tmp_path / "log").read_text()
    events = [orjson.loads(line) for line in log.splitlines()]
    assert {"started", "server_not_there", "asked_to_end", "ended"} <= {event["event"] for event in events}
    assert {event["service"] for event in events} == {"thing"}
    assert "hunter2" not in log


async def test_a_signal_while_it_still_waits_for_a_server_ends_it_cleanly(start: Start, ops_port: int) -> None:
    process = start()
    await eventually(lambda: asked(ops_port)[0] == 503)
    process.send_signal(signal.SIGTERM)
    assert process.wait(10) == 0


async def test_while_it_drains_it_is_not_ready_and_a_second_signal_forces_the_end(
    start: Start, tmp_path: Path, ops_port: int
) -> None:
    (tmp_path / "server-is-there").touch()
    (tmp_path / "busy").touch()
    process = start()
    await eventually(lambda: asked(ops_port)[0] == 200)
    process.send_signal(signal.SIGTERM)
    await eventually(lambda: asked(ops_port)[0] == 503)
    process.send_signal(signal.SIGTERM)
    assert process.wait(10) == 128 + signal.SIGTERM


async def test_work_that_does_not_end_is_cut_after_the_drain(start: Start, tmp_path: Path, ops_port: int) -> None:
    (tmp_path / "server-is-there").touch()
    (tmp_path / "busy").touch()
    process = start(OLLAMANET_DRAIN="0.1")
    await eventually(lambda: asked(ops_port)[0] == 200)
    process.send_signal(signal.SIGINT)
    assert process.wait(10) == 128 + signal.SIGINT
    assert (tmp_path / "closed").exists() is False


@pytest.mark.parametrize(
    ("environment", "sentence"),
    [
        ({"OLLAMANET_OPS_PORT": "many"}, "OLLAMANET_OPS_PORT is wrong: it should be a valid integer"),
        ({"OLLAMANET_OPS_PORT": "70000"}, "OLLAMANET_OPS_PORT is wrong: it should be less than or equal to 65535"),
        ({"OLLAMANET_LOG_LEVEL": "loud"}, "OLLAMANET_LOG_LEVEL is wrong"),
        ({"OTEL_TRACES_EXPORTER": "pigeon"}, "OTEL_TRACES_EXPORTER should be one of otlp, console, none"),
    ],
)
def test_a_wrong_setting_is_one_sentence_and_exit_2(
    start: Start, tmp_path: Path, environment: dict[str, str], sentence: str
) -> None:
    assert start(**environment).wait(10) == 2
    said = (tmp_path / "log").read_text()
    assert sentence in said
    assert len(said.splitlines()) == 1


def test_what_cannot_be_is_one_sentence_and_exit_2(start: Start, tmp_path: Path) -> None:
    (tmp_path / "cannot").touch()
    assert start().wait(10) == 2
    last = (tmp_path / "log").read_text().splitlines()[-1]
    assert last == "ollamanet thing: The key file is missing: make one with ollamanet keys new."


def test_a_crash_is_logged_and_exit_1(start: Start, tmp_path: Path) -> None:
    (tmp_path / "crash").touch()
    assert start().wait(10) == 1
    assert "this is a fault" in (tmp_path / "log").read_text()


def test_a_busy_ops_port_says_so(start: Start, tmp_path: Path, ops_port: int) -> None:
    import socket

    with socket.create_server(("127.0.0.1", ops_port)):
        assert start().wait(10) == 2
    assert "choose another port with OLLAMANET_OPS_PORT" in (tmp_path / "log").read_text()


TRACED = """
import structlog
from opentelemetry import trace
from infra.process.run import run

async def main(process):
    with trace.get_tracer("test").start_as_current_span("one request"):
        structlog.get_logger().info("inside")

run("traced", ops_port=0, main=main)
"""


def test_a_recorded_trace_is_sent_before_the_process_ends_and_its_id_stands_in_the_log(tmp_path: Path) -> None:
    out = subprocess.run(
        [sys.executable, "-c", TRACED], capture_output=True, text=True, timeout=20, check=True,
        env={**os.environ, "OTEL_TRACES_EXPORTER": "console", "OLLAMANET_OPS_PORT": "0"},
    )  # fmt: skip
    span = orjson.loads(out.stdout)
    assert (span["name"], span["resource"]["attributes"]["service.name"]) == ("one request", "ollamanet-traced")
    (inside,) = [event for line in out.stderr.splitlines() if (event := orjson.loads(line))["event"] == "inside"]
    assert span["context"]["trace_id"] == f"0x{inside['trace_id']}"
