"""A line to the platform on which every answer arrives a few bytes at a time, so that no character is safe."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from urllib.parse import urlsplit

STEP = 3
"""Bytes: characters have up to four."""


@asynccontextmanager
async def shredding(edge: str) -> AsyncIterator[str]:
    """The URL of a relay to that edge."""
    host, port = urlsplit(edge).hostname, urlsplit(edge).port
    open_lines: set[asyncio.Task[None]] = set()

    async def relay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        open_lines.add(task)
        edge_reader, edge_writer = await asyncio.open_connection(host, port)
        try:
            async with asyncio.TaskGroup() as both:
                both.create_task(_hand_on(reader, edge_writer))
                both.create_task(_hand_on(edge_reader, writer, STEP))
        except* OSError:
            pass  # one of them hung up
        finally:
            for one in (edge_writer, writer):
                one.close()
            open_lines.discard(task)

    server = await asyncio.start_server(relay, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()
        for one in open_lines:
            one.cancel()
        with suppress(asyncio.CancelledError):
            await asyncio.gather(*open_lines, return_exceptions=True)


async def _hand_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, step: int | None = None) -> None:
    """All bytes from one side to the other until that side ends; then the other side is told so."""
    while data := await reader.read(65536):
        for at in range(0, len(data), step or len(data)):
            writer.write(data[at : at + (step or len(data))])
            await writer.drain()
            await asyncio.sleep(0)
    writer.close()
