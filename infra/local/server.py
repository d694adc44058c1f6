"""A real small model on this machine, as a process of its own; it is spoken to by `infra/openai`."""

import asyncio
import socket
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType

import aiohttp
import structlog

from contracts.errors import Unavailable
from contracts.records import BackendSettings
from infra.local.weights import installed

log = structlog.get_logger()

SLOTS = 4
STARTING = 60.0
"""Seconds until it must answer; the weights load in half a second on a laptop."""
ENDING = 3.0
"""Seconds that it gets to end by itself."""


class LocalModelServer:
    """Runs xllamacpp's server on a free loopback port while inside; entering gives how to reach it.

    `data`: the folder that gets its log file. Raises FileNotFoundError where weights or server are missing, Unavailable when it
    does not start; it ends with this process, however that ends.
    """

    def __init__(self, data: Path, *, name: str = "local", slots: int = SLOTS) -> None:
        self._log = data / "small-model.log"
        self._name = name
        self._slots = slots
        self._process: asyncio.subprocess.Process | None = None

    async def __aenter__(self) -> BackendSettings:
        installed()
        port = _free_port()
        command = (sys.executable, "-m", "infra.local", "--port", str(port), "--slots", str(self._slots))
        with self._log.open("wb") as output:
            self._process = await asyncio.create_subprocess_exec(
                *command, stdin=asyncio.subprocess.PIPE, stdout=output, stderr=output, start_new_session=True
            )
        url = f"http://127.0.0.1:{port}"
        try:
            await self._answering(self._process, url)
        except BaseException:
            await self._end()
            raise
        return BackendSettings(name=self._name, kind="openai", url=url, slots=self._slots)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._end()

    async def _answering(self, process: asyncio.subprocess.Process, url: str) -> None:
        since = time.monotonic()
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=2)) as http:
            while time.monotonic() - since < STARTING and process.returncode is None:
                if await _healthy(http, url):
                    log.info("small_model_ready", url=url, took_s=round(time.monotonic() - since, 2))
                    return
                await asyncio.sleep(0.03)
        raise Unavailable(f"The small model's server did not start; its log is {self._log}.")

    async def _end(self) -> None:
        process = self._process
        if process is None or process.returncode is not None:
            return
        if process.stdin is not None:
            process.stdin.close()
        if not await _ended(process, ENDING):
            _quietly(process.kill)
            await process.wait()


async def _healthy(http: aiohttp.ClientSession, url: str) -> bool:
    try:
        async with http.get(f"{url}/health") as response:
            return response.status == 200
    except (aiohttp.ClientError, TimeoutError):
        return False


async def _ended(process: asyncio.subprocess.Process, seconds: float) -> bool:
    try:
        await asyncio.wait_for(process.wait(), seconds)
    except TimeoutError:
        return False
    return True


def _quietly(call: Callable[[], None]) -> None:
    try:
        call()
    except ProcessLookupError:
        return


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
