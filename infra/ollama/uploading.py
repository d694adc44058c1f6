"""Giving Ollama a blob: a body of a size that is known, made while it is sent."""

import asyncio
from collections.abc import AsyncIterable, Mapping

import aiohttp

from contracts.errors import BackendFailed
from infra.backends.refusals import cut, unreachable
from infra.ollama.managed import refuse_to_manage

PATIENCE = 60.0
"""Seconds in which a piece has to be taken, and the answer has to come."""


class Content:
    """An upload's body: exactly `size` bytes, or digest_mismatch; every piece prolongs `limit`.

    `broken`: why it stopped. The HTTP client tells only that something did.
    """

    def __init__(self, pieces: AsyncIterable[bytes], size: int, limit: asyncio.Timeout) -> None:
        self.broken: Exception | None = None
        self.left = size
        self._pieces = aiter(pieces)
        self._limit = limit

    def __aiter__(self) -> "Content":
        return self

    async def __anext__(self) -> bytes:
        try:
            piece = await anext(self._pieces, None)
        except Exception as error:
            self.broken = error
            raise
        self.left -= len(piece or b"")
        if self.left < 0 or (piece is None and self.left):
            sentence = "The blob has another size than was told, so it has another digest."
            self.broken = BackendFailed("digest_mismatch", sentence)
            raise self.broken
        if piece is None:
            raise StopAsyncIteration
        self._limit.reschedule(asyncio.get_running_loop().time() + PATIENCE)
        return piece


async def upload(
    http: aiohttp.ClientSession,
    url: str,
    headers: Mapping[str, str],
    server: str,
    size: int,
    pieces: AsyncIterable[bytes],
) -> None:
    """POST it. Raises BackendFailed, and what reading the pieces raises."""
    told = {**headers, "Content-Type": "application/octet-stream", "Content-Length": str(size)}
    content: Content | None = None
    try:
        async with asyncio.timeout(PATIENCE) as limit:
            content = Content(pieces, size, limit)
            async with http.post(url, data=content, headers=told, allow_redirects=False) as response:
                if response.status not in (200, 201):
                    await refuse_to_manage(response, server)
    except (aiohttp.ClientError, OSError) as error:
        raise _why(error, content, server) from error


def _why(error: Exception, content: Content | None, server: str) -> Exception:
    """What an upload that broke off means."""
    if content is not None and content.broken is not None:
        return content.broken
    if isinstance(error, aiohttp.ClientConnectorError | aiohttp.ServerTimeoutError):
        return unreachable(server, error)
    if isinstance(error, TimeoutError):
        return BackendFailed("pull_stalled", f"{server} took no more of the blob for {PATIENCE:g} s.")
    return cut(server)
