"""From settings to exit code: what every process does around its own work.

A composition root is this much:

    async def main(process: Process) -> None:
        settings = checked(EdgeSettings)                      # wrong → one sentence, exit 2
        async with (
            process.opened("rabbitmq", lambda: RabbitBus(settings.rabbitmq_url, source="edge")) as bus,
            process.opened("redis", lambda: RedisGenerationStreams(settings.redis_url)) as streams,
        ):
            process.ops.ready_when({"rabbitmq": bus.check, "redis": streams.check})
            async with bus.consume(subscriptions(...)):
                await process.stop.wait()                     # SIGTERM: leave the blocks, which drains

    if __name__ == "__main__":
        run("edge", ops_port=9100, main=main)

`run` never returns: exit 0 after SIGTERM or SIGINT, 1 after a crash, 2 for a wrong setting or a busy port, 128 + signal
when a second signal forced the end.
"""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager, nullcontext, suppress
from dataclasses import dataclass, field
from typing import NoReturn, TypeVar

import structlog

from contracts.errors import Permanent, Unavailable
from infra.process import logs, telemetry
from infra.process.failures import WRONG_SETTING, CannotStart, checked
from infra.process.http import http_server
from infra.process.ops import Ops
from infra.process.redaction import without_secrets
from infra.process.settings import ProcessSettings, read_secret_files

log = structlog.get_logger()
T = TypeVar("T")

OPENING_TIMEOUT = 15.0
"""Seconds for one try to open a connection."""
RETRY_DELAYS = (0.2, 0.5, 1.0, 2.0)
"""Seconds between tries; the last one repeats."""
LAST_BREATH = 3.0
"""Seconds that cancelled work gets before the process ends without it."""


class Stopping(Exception):
    """The process was asked to end while it still started."""


@dataclass
class Process:
    """The running process. `stop` is set by the first SIGTERM or SIGINT; `forced` by the second."""

    service: str
    settings: ProcessSettings
    ops: Ops = field(default_factory=Ops)
    stop: asyncio.Event = field(default_factory=asyncio.Event)
    forced: asyncio.Event = field(default_factory=asyncio.Event)
    signal: int = 0

    @asynccontextmanager
    async def opened(self, name: str, make: Callable[[], AbstractAsyncContextManager[T]]) -> AsyncGenerator[T, None]:
        """Enter `make()`, again and again until its server answers (Unavailable, OSError: a log line, `/readyz` 503)."""
        async with AsyncExitStack() as stack:
            tries = 0
            while True:
                try:
                    async with asyncio.timeout(OPENING_TIMEOUT):
                        value = await stack.enter_async_context(make())
                    break
                except (Unavailable, OSError) as error:
                    await self._wait(name, without_secrets(str(error) or type(error).__name__), tries)
                    tries += 1
            self.ops.has(name)
            yield value

    @property
    def drain(self) -> float:
        """Seconds that work in flight gets after a signal: two thirds of OLLAMANET_DRAIN; closing has the rest."""
        return self.settings.drain * 2 / 3

    async def _wait(self, name: str, why: str, tries: int) -> None:
        self.ops.waits_for(name, why)
        delay = RETRY_DELAYS[min(tries, len(RETRY_DELAYS) - 1)]
        log.warning("server_not_there", server=name, why=why, retry_in_s=delay)
        with suppress(TimeoutError):
            async with asyncio.timeout(delay):
                await self.stop.wait()
            raise Stopping

    def on_signal(self, number: int) -> None:
        """The first signal asks for the end, the second forces it."""
        self.signal = number
        log.info("asked_to_end", signal=number, drain_s=self.settings.drain, forced=self.stop.is_set())
        if self.stop.is_set():
            self.forced.set()
        self.stop.set()
        self.ops.waits_for("end", "the process is ending")


def run(service: str, ops_port: int, main: Callable[[Process], Awaitable[None]]) -> NoReturn:
    """Run `main` as a process. `ops_port`: where OLLAMANET_OPS_PORT is not set; 0 = off."""
    try:
        read_secret_files(os.environ)
        settings = checked(ProcessSettings)
        logs.configure(service, settings.log_level)
        with telemetry.recording(service), asyncio.Runner(loop_factory=_loop_factory()) as runner:
            code = runner.run(_serve(service, settings, ops_port, main))
    except CannotStart as error:
        sys.stderr.write(f"ollamanet {service}: {without_secrets(str(error))}\n")
        code = WRONG_SETTING
    sys.exit(code)


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    try:
        import uvloop
    except ImportError:  # not on Windows
        return None
    return uvloop.new_event_loop


async def _serve(
    service: str, settings: ProcessSettings, ops_port: int, main: Callable[[Process], Awaitable[None]]
) -> int:
    process = Process(service, settings)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        with suppress(NotImplementedError):  # Windows: Ctrl-C arrives as KeyboardInterrupt
            loop.add_signal_handler(number, process.on_signal, number)
    port = ops_port if settings.ops_port is None else settings.ops_port
    ops = (
        http_server(process.ops, settings.ops_host, port, setting="OLLAMANET_OPS_PORT", drain=1)
        if port
        else nullcontext()
    )
    async with ops:
        log.info("started", pid=os.getpid(), ops_port=port or None)
        return await _supervised(process, asyncio.ensure_future(main(process)))


async def _supervised(process: Process, work: asyncio.Future[None]) -> int:
    """Wait for the work or for a signal; after a signal, for the drain or for a second one. The exit code."""
    await _first(work, process.stop)
    if not work.done():
        await _first(work, process.forced, process.settings.drain)
    if not work.done():
        log.warning("drain_cut_short", forced=process.forced.is_set())
        work.cancel()
        await asyncio.wait({work}, timeout=LAST_BREATH)
    if not work.done():
        os._exit(128 + process.signal)
    return _code(process, work)


async def _first(work: asyncio.Future[None], event: asyncio.Event, seconds: float | None = None) -> None:
    waiting = asyncio.ensure_future(event.wait())
    await asyncio.wait({work, waiting}, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
    waiting.cancel()


def _code(process: Process, work: asyncio.Future[None]) -> int:
    if work.cancelled():
        return 128 + process.signal
    error = work.exception()
    if isinstance(error, CannotStart):
        raise error
    if isinstance(error, Permanent):  # trying again cannot help: its sentence says what does
        raise CannotStart(str(error)) from error
    if error is not None and not isinstance(error, Stopping):
        log.error("crashed", exc_info=error)
        return 1
    log.info("ended")
    return 0
