"""A TCP proxy that cuts and freezes connections at the worst moments."""

import asyncio
from types import TracebackType
from typing import Self

SCRIPT = b"EVALSHA"


class Proxy:
    """Passes bytes on to a port of the loopback. `url`: database 0 behind it."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._writers: set[asyncio.StreamWriter] = set()
        self.lose_reply = False
        """Cut the connection of the next script call once the server has answered it; the answer is lost."""
        self.frozen = asyncio.Event()
        """While set nothing comes back, and the connections stay."""
        self.shut = False
        """While true nobody new gets through."""

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._server is not None
        self._server.close()
        self.cut()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    @property
    def url(self) -> str:
        """As an adapter takes it."""
        assert self._server is not None
        return f"redis://127.0.0.1:{self._server.sockets[0].getsockname()[1]}/0"

    def cut(self) -> None:
        """Every connection breaks now."""
        for writer in self._writers:
            writer.transport.abort()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self.shut:
            writer.transport.abort()
            return
        try:
            far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self._port)
        except OSError:
            writer.transport.abort()
            return
        self._writers |= {writer, far_writer}
        doomed = asyncio.Event()
        for pump in (self._ask(reader, far_writer, doomed), self._answer(far_reader, writer, far_writer, doomed)):
            task = asyncio.create_task(pump)
            self._tasks.add(task)

    async def _ask(self, near: asyncio.StreamReader, far: asyncio.StreamWriter, doomed: asyncio.Event) -> None:
        while data := await _read(near):
            if self.lose_reply and SCRIPT in data:
                self.lose_reply = False
                doomed.set()
            far.write(data)
        far.transport.abort()

    async def _answer(
        self, far: asyncio.StreamReader, near: asyncio.StreamWriter, back: asyncio.StreamWriter, doomed: asyncio.Event
    ) -> None:
        while data := await _read(far):
            if doomed.is_set():
                break
            if not self.frozen.is_set():
                near.write(data)
        near.transport.abort()
        back.transport.abort()


async def _read(reader: asyncio.StreamReader) -> bytes:
    try:
        return await reader.read(65536)
    except OSError:
        return b""
