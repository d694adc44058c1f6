"""A model server's streamed answer, line by line, with every way it can fail told as BackendFailed."""

import asyncio
from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass

import aiohttp
import orjson

from contracts.errors import BackendFailed
from infra.backends.refusals import Refuse, cut, refuse, unreachable

CONNECT_TIMEOUT = 5.0
LINE_BYTES = 1024 * 1024
"""The longest line that a server may send."""


@dataclass
class Patience:
    """How long to wait for the next piece: `first` seconds until the first was heard, `between` afterwards.

    Whoever reads says `heard` for every piece; other lines (comments, empty deltas) prolong nothing.
    """

    first: float
    between: float
    begun: bool = False
    _heard: bool = True
    _until: float = 0.0

    def heard(self) -> None:
        """A piece came."""
        self._heard = True
        self.begun = True

    def waiting(self) -> asyncio.Timeout:
        """The time-out of waiting for more. What the reader did with a piece meanwhile does not count."""
        if self._heard:
            self._until = asyncio.get_running_loop().time() + (self.between if self.begun else self.first)
            self._heard = False
        return asyncio.timeout_at(self._until)

    def lost(self, server: str) -> BackendFailed:
        """What running out of it means."""
        if self.begun:
            return BackendFailed("token_timeout", f"{server} sent nothing for {self.between:g} s.")
        return BackendFailed("first_token_timeout", f"{server} sent no first token within {self.first:g} s.")


async def streamed_lines(
    http: aiohttp.ClientSession,
    url: str,
    body: Mapping[str, object],
    headers: Mapping[str, str],
    server: str,
    patience: Patience,
    *,
    refused: Refuse = refuse,
) -> AsyncGenerator[bytes, None]:
    """POST and give the lines of the answer, stripped, empty ones left out. Closing it closes the connection.

    `refused` says what an error status means.
    """
    response = await _opened(http, url, body, headers, server, patience)
    try:
        if response.status != 200:
            await refused(response, server)
        rest = b""
        while more := await _more(response, server, patience):
            *lines, rest = (rest + more).split(b"\n") if rest else more.split(b"\n")
            if any(len(one) > LINE_BYTES for one in (*lines, rest)):
                raise BackendFailed("backend_garbage", f"{server} sent a line of more than {LINE_BYTES} bytes.")
            for line in lines:
                if stripped := line.strip():
                    yield stripped
        if stripped := rest.strip():
            yield stripped
    finally:
        response.close()


async def _opened(
    http: aiohttp.ClientSession,
    url: str,
    body: Mapping[str, object],
    headers: Mapping[str, str],
    server: str,
    patience: Patience,
) -> aiohttp.ClientResponse:
    try:
        async with patience.waiting():
            # no redirect: it would send questions, and the key, where nobody configured it
            return await http.post(url, data=orjson.dumps(body), headers=headers, allow_redirects=False)
    except TimeoutError as error:
        if isinstance(error, aiohttp.ServerTimeoutError):
            raise unreachable(server, error) from error
        raise patience.lost(server) from error
    except (aiohttp.ClientError, OSError) as error:
        raise unreachable(server, error) from error


async def _more(response: aiohttp.ClientResponse, server: str, patience: Patience) -> bytes:
    """What came since; empty at the answer's end."""
    try:
        async with patience.waiting():
            return await response.content.readany()
    except TimeoutError as error:
        raise patience.lost(server) from error
    except (aiohttp.ClientError, OSError) as error:
        raise cut(server) from error
