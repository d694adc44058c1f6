"""A client without a library: bytes in, bytes out, hung up wherever a test likes."""

import asyncio
import socket
from collections.abc import AsyncGenerator
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

import orjson


class Line:
    """One connection. `window`: bytes that the system takes before the test reads them."""

    def __init__(self, url: str, *, window: int | None = None) -> None:
        self._address = (str(urlsplit(url).hostname), urlsplit(url).port or 80)
        self._window = window
        self.status = self.head = 0
        self.headers: dict[str, str] = {}

    async def __aenter__(self) -> Self:
        made = socket.socket()
        made.setblocking(False)
        if self._window is not None:
            made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, self._window)
        await asyncio.get_running_loop().sock_connect(made, self._address)
        limit = self._window or 2**16
        self.reader, self._writer = await asyncio.open_connection(sock=made, limit=limit)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.hangs_up()

    async def asks(self, method: str, path: str, headers: dict[str, str], body: object = None) -> None:
        """Send a request."""
        sent = b"" if body is None else orjson.dumps(body)
        told = {"Host": "test", **headers, **({"Content-Type": "application/json"} if sent else {})}
        lines = [f"{method} {path} HTTP/1.1", *(f"{name}: {value}" for name, value in told.items())]
        await self.sends("\r\n".join([*lines, f"Content-Length: {len(sent)}", "", ""]).encode() + sent)

    async def sends(self, raw: bytes) -> None:
        self._writer.write(raw)
        await self._writer.drain()

    async def begins(self) -> None:
        """Read the head of the answer."""
        raw = await self.reader.readuntil(b"\r\n\r\n")
        self.head, head = len(raw), raw.decode("latin-1").split("\r\n")
        self.status = int(head[0].split(" ")[1])
        self.headers = {
            name.lower(): value.strip() for name, _, value in (one.partition(":") for one in head[1:] if one)
        }

    async def chunk(self) -> bytes:
        """What the edge wrote at once; b"" at the end."""
        size = int(await self.reader.readuntil(b"\r\n"), 16)
        body = await self.reader.readexactly(size + 2)
        return body[:-2]

    async def rest(self) -> bytes:
        """Everything until the answer's clean end."""
        return b"".join([one async for one in self._chunks()])

    async def _chunks(self) -> AsyncGenerator[bytes, None]:
        while chunk := await self.chunk():
            yield chunk

    def hangs_up(self) -> None:
        """Without a word."""
        self._writer.transport.abort()
