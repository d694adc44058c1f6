"""Files fetched by URL into a temporary one, hashed on the way."""

import asyncio
import errno
import hashlib
import tempfile
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import IO
from urllib.parse import urljoin

import aiohttp

from contracts.addresses import checked_url
from contracts.errors import BackendFailed
from contracts.ports.management import Download, Downloads
from infra.backends.guard import public_socket

REDIRECTS = 5
SILENT = 60.0
"""Seconds without a byte until it is given up."""
LARGEST = 512 * 1024**3
BLOCK = 1024 * 1024

Told = Callable[[int, int | None], Awaitable[None]]


class HttpDownloads(Downloads):
    """By https, or http on private addresses where these are allowed."""

    def __init__(self, *, allow_private: bool) -> None:
        self._allow_private = allow_private

    @asynccontextmanager
    async def fetch(self, url: str, told: Told) -> AsyncGenerator[Download, None]:
        connector = aiohttp.TCPConnector(
            force_close=True, socket_factory=None if self._allow_private else public_socket
        )
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=10.0, sock_read=SILENT)
        # in the folder of temporary files, which TMPDIR names; unlinked when it is closed, whatever happens
        with tempfile.NamedTemporaryFile(prefix="ollamanet-", suffix=".gguf") as file:
            try:
                async with aiohttp.ClientSession(
                    connector=connector, timeout=timeout, cookie_jar=aiohttp.DummyCookieJar()
                ) as http:
                    digest, size = await self._into(file, http, url, told)
            except (TimeoutError, aiohttp.ClientError) as error:
                raise _unreachable(url, str(error) or type(error).__name__) from error
            except OSError as error:
                if error.errno in (errno.ENOSPC, errno.EDQUOT):
                    sentence = "The catalog worker has no room for the file in its temporary folder (TMPDIR)."
                    raise BackendFailed("disk_full", sentence, retryable=False) from error
                raise _unreachable(url, str(error)) from error
            yield Download(Path(file.name), digest, size)

    async def _into(self, file: IO[bytes], http: aiohttp.ClientSession, url: str, told: Told) -> tuple[str, int]:
        for _ in range(REDIRECTS + 1):
            async with http.get(self._checked(url), allow_redirects=False) as response:
                if response.status in (301, 302, 303, 307, 308) and "Location" in response.headers:
                    url = urljoin(url, response.headers["Location"])
                    continue
                if response.status != 200:
                    raise _unreachable(url, f"it answered {response.status}")
                return await _kept(file, response, told)
        raise _unreachable(url, f"more than {REDIRECTS} redirects")

    def _checked(self, url: str) -> str:
        """The URL itself; its query may hold a signature, and is nobody's business."""
        try:
            checked_url(url.partition("?")[0].partition("#")[0])
        except ValueError as error:
            raise _unreachable(url, str(error)) from error
        if url.startswith("http://") and not self._allow_private:
            raise _unreachable(url, "only https is fetched")
        return url


async def _kept(file: IO[bytes], response: aiohttp.ClientResponse, told: Told) -> tuple[str, int]:
    total = response.content_length
    if total is not None and total > LARGEST:
        raise BackendFailed("gguf_unreachable", "The file is larger than 512 GiB.", retryable=False)
    hashed, size = hashlib.sha256(), 0
    async for block in response.content.iter_chunked(BLOCK):
        size += len(block)
        if size > LARGEST:
            raise BackendFailed("gguf_unreachable", "The file is larger than 512 GiB.", retryable=False)
        await asyncio.to_thread(_write, file, block)
        hashed.update(block)
        await told(size, total)
    await asyncio.to_thread(file.flush)
    return f"sha256:{hashed.hexdigest()}", size


def _write(file: IO[bytes], block: bytes) -> None:
    file.write(block)


def _unreachable(url: str, why: str) -> BackendFailed:
    shown = url.partition("?")[0]
    return BackendFailed("gguf_unreachable", f"{shown} cannot be fetched: {why}.", retryable=True)
