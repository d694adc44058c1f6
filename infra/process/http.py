"""An HTTP server inside a running process: bound before anything is said, drained when left."""

import asyncio
import errno
import socket
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import uvicorn

from infra.process.failures import CannotStart

BACKLOG = 2048
PROXIES = "127.0.0.0/8,10.0.0.0/8,172.16.0.0/12,192.168.0.0/16,::1/128,fc00::/7"
"""Where proxies stand whose `X-Forwarded-For` is believed; of that header the last address outside of these is the client: what stands
before it the client may have made up."""


class _Server(uvicorn.Server):
    """uvicorn without its own signal handling: the process decides when it ends."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.up = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.up.set()

    @contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        yield


def bound(host: str, port: int, setting: str) -> socket.socket:
    """A listening socket; CannotStart says which `setting` moves it when the address is taken or not ours."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        listener = socket.create_server((host, port), family=family, backlog=BACKLOG)
    except OSError as error:
        raise CannotStart(_sentence(error, host, port, setting)) from error
    # asyncio's own loop does not do this for a listener that it did not make: 44 ms an answer, where uvloop takes 0.1
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listener


def _sentence(error: OSError, host: str, port: int, setting: str) -> str:
    if error.errno == errno.EADDRINUSE:
        return f"Port {port} of {host} is busy: end what listens there, or choose another port with {setting}."
    if error.errno == errno.EACCES:
        return f"Port {port} of {host} needs more rights than this process has: choose one above 1023 with {setting}."
    return f"Cannot listen on {host} port {port} ({error.strerror or error}): choose an address of this machine."


@asynccontextmanager
async def http_server(
    app: Any,
    host: str,
    port: int,
    *,
    setting: str = "OLLAMANET_PORT",
    behind_proxy: bool = False,
    drain: float = 20.0,
) -> AsyncGenerator[str, None]:
    """Serve an ASGI app while inside; gives its URL (port 0: any free one).

    Leaving closes the listener, then waits up to `drain` seconds for open requests, then cancels them: who has long
    streams open ends them first. Raises CannotStart when the address is taken.
    """
    listener = bound(host, port, setting)
    config = uvicorn.Config(
        app, log_config=None, access_log=False, server_header=False, ws="none", proxy_headers=behind_proxy,
        forwarded_allow_ips=PROXIES if behind_proxy else None, timeout_graceful_shutdown=max(1, round(drain)), timeout_keep_alive=75,
    )  # fmt: skip
    server = _Server(config)
    serving = asyncio.create_task(server.serve(sockets=[listener]), name=f"http:{port}")
    try:
        up = asyncio.create_task(server.up.wait())
        await asyncio.wait({serving, up}, return_when=asyncio.FIRST_COMPLETED)
        up.cancel()
        if serving.done():
            serving.result()
            raise CannotStart("The HTTP server ended while it started.")
        yield _url(host, listener)
    finally:
        server.should_exit = True
        await asyncio.gather(serving, return_exceptions=True)
        listener.close()


def _url(host: str, listener: socket.socket) -> str:
    shown = f"[{host}]" if ":" in host else host
    return f"http://{shown}:{listener.getsockname()[1]}"
