"""A process that ends after a certain call, as a real process; and one that is not told to."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from infra.process.failpoints import failing
from tests.eventually import eventually
from tests.servers.shared import spawn

SERVICE = """
import asyncio
from contextlib import asynccontextmanager
from pathlib import Path
from contracts.errors import Unavailable
from infra.process.failpoints import failing
from infra.process.run import run

class Streams:
    def __init__(self):
        self.calls = 0
    async def seal(self, fails=False):
        self.calls += 1
        Path(f"called-{self.calls}").touch()
        if fails:
            raise Unavailable("not now")
        return self.calls
    async def follow(self):
        yield 1
    @asynccontextmanager
    async def control(self):
        yield "words"

async def main(process):
    streams = failing("streams", Streams())
    bus = failing("bus", Streams())
    await bus.seal()
    assert [one async for one in streams.follow()] == [1]
    async with streams.control() as words:
        assert words == "words"
    try:
        await streams.seal(fails=True)
    except Unavailable:
        Path("raised").touch()
    assert await asyncio.create_task(streams.seal()) == 2
    Path("once").touch()
    await asyncio.gather(streams.seal(), return_exceptions=True)
    Path("went-on").touch()

run("thing", ops_port=0, main=main)
"""
Start = Callable[[str], subprocess.Popen[bytes]]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    started: list[subprocess.Popen[bytes]] = []

    def begin(failpoint: str) -> subprocess.Popen[bytes]:
        own = {"PYTHONPATH": str(Path.cwd()), "OLLAMANET_FAILPOINT": failpoint}
        process = spawn([sys.executable, "-c", SERVICE], tmp_path / "log", env={**os.environ, **own}, cwd=tmp_path)
        started.append(process)
        return process

    yield begin
    for process in started:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


async def code_of(process: subprocess.Popen[bytes]) -> int:
    await eventually(lambda: process.poll() is not None, 20)
    return process.wait()


async def test_a_process_ends_right_after_the_call_returned_so_often_whichever_task_made_it(
    start: Start, tmp_path: Path
) -> None:
    assert await code_of(start("streams.seal:2")) == 137
    assert (tmp_path / "once").exists()
    assert (tmp_path / "called-3").exists(), "the call itself was made"
    assert not (tmp_path / "went-on").exists()
    log = (tmp_path / "log").read_text()
    assert "fail_point_set" in log
    assert "ended after streams.seal" in log


async def test_a_call_that_raised_did_not_return(start: Start, tmp_path: Path) -> None:
    assert await code_of(start("streams.seal:1")) == 137
    assert (tmp_path / "raised").exists()
    assert not (tmp_path / "once").exists()


@pytest.mark.parametrize("value", ["", "streams.seal:9", "history.record_outcomes:1"])
async def test_a_process_that_is_not_told_to_or_not_there_goes_on(start: Start, tmp_path: Path, value: str) -> None:
    assert await code_of(start(value)) == 0, (tmp_path / "log").read_text()
    assert (tmp_path / "went-on").exists()


@pytest.mark.parametrize(
    "value",
    [
        "streams",
        "streams.seal",
        "streams.seal:0",
        "streams.seal:x",
        "rivers.seal:1",
        "streams.swim:1",
        "streams.follow:1",
    ],
)
async def test_a_wrong_value_is_one_sentence(start: Start, tmp_path: Path, value: str) -> None:
    assert await code_of(start(value)) == 2
    (sentence,) = [line for line in (tmp_path / "log").read_text().splitlines() if "OLLAMANET_FAILPOINT" in line]
    assert sentence.startswith("ollamanet thing: OLLAMANET_FAILPOINT is wrong: ")
    assert not (tmp_path / "called-3").exists()


def test_where_nothing_is_set_nothing_is_wrapped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OLLAMANET_FAILPOINT", raising=False)
    adapter = asyncio.Event()
    assert failing("streams", adapter) is adapter
