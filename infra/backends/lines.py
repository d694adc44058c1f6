"""A model server's streamed answer, line by line, with every way it can fail told as BackendFailed."""

import asyncio
from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass
from typing import NoReturn

import aiohttp
import msgspec
import orjson

from contracts.errors import BackendFailed

CONNECT_TIMEOUT = 5.0
LIST_TIMEOUT = 10.0
LINE_BYTES = 1024 * 1024
"""The longest line that a server may send."""
WORDS = 300
"""Characters of a server's own error message that are told."""
RETRYABLE = (408, 429)
"""The only statuses below 500 that another try may cure."""


@dataclass
class Patience:
    """How long to wait for the next piece: `first` seconds until the first was heard, `between` afterwards."""

    first: float
    between: float
    heard: bool = False

    @property
    def seconds(self) -> float:
        """What counts now."""
        return self.between if self.heard else self.first

    def lost(self, server: str) -> BackendFailed:
        """What running out of it means."""
        if self.heard:
            return BackendFailed("token_timeout", f"{server} sent nothing for {self.between:g} s.")
        return BackendFailed("first_token_timeout", f"{server} sent no first token within {self.first:g} s.")


async def streamed_lines(
    http: aiohttp.ClientSession,
    url: str,
    body: Mapping[str, object],
    headers: Mapping[str, str],
    server: str,
    patience: Patience,
) -> AsyncGenerator[bytes, None]:
    """POST and give the lines of the answer, stripped, empty ones left out. Closing it closes the connection."""
    try:
        async with asyncio.timeout(patience.seconds):
            response = await http.post(url, data=orjson.dumps(body), headers=headers)
    except TimeoutError as error:
        if isinstance(error, aiohttp.ServerTimeoutError):
            raise BackendFailed("backend_unreachable", f"{server} does not answer.") from error
        raise patience.lost(server) from error
    except (aiohttp.ClientError, OSError) as error:
        raise BackendFailed("backend_unreachable", f"{server} does not answer.") from error
    try:
        if response.status != 200:
            await refuse(response, server)
        while line := await _line(response, server, patience):
            if stripped := line.strip():
                yield stripped
    finally:
        response.close()


async def _line(response: aiohttp.ClientResponse, server: str, patience: Patience) -> bytes:
    try:
        async with asyncio.timeout(patience.seconds):
            return await response.content.readline()
    except TimeoutError as error:
        raise patience.lost(server) from error
    except (aiohttp.ClientError, OSError) as error:
        raise BackendFailed("backend_cut", f"{server} cut the line.") from error
    except ValueError as error:
        raise BackendFailed("backend_garbage", f"{server} sent a line of more than {LINE_BYTES} bytes.") from error


async def refuse(response: aiohttp.ClientResponse, server: str) -> NoReturn:
    """Raise what an error status means."""
    try:
        async with asyncio.timeout(LIST_TIMEOUT):
            said = await response.content.read(LINE_BYTES)
    except (aiohttp.ClientError, OSError, TimeoutError):
        said = b""
    raise refusal(response.status, said, server)


def refusal(status: int, said: bytes, server: str) -> BackendFailed:
    """What an error of the server's own means; `said` is its body or its error object."""
    words = _words(said)
    if "context" in words.lower() and any(one in words.lower() for one in ("exceed", "length", "too long")):
        return BackendFailed("context_too_long", f"{server}: {words}", retryable=False)
    retryable = status >= 500 or status in RETRYABLE
    return BackendFailed("backend_error", f"{server} answered {status}: {words}", retryable=retryable)


def _words(said: bytes) -> str:
    """The message in an error body: `{"error": "…"}`, `{"error": {"message": "…"}}`, or as it is."""
    try:
        value = msgspec.json.decode(said)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return said.decode("utf-8", "replace")[:WORDS].strip()
    for key in ("error", "message"):
        if isinstance(value, dict) and key in value:
            value = value[key]
    return str(value)[:WORDS]


async def ask(
    http: aiohttp.ClientSession,
    url: str,
    headers: Mapping[str, str],
    server: str,
    body: Mapping[str, object] | None = None,
) -> bytes:
    """The whole answer of a GET (or, with a body, a POST), within 10 s. Raises BackendFailed."""
    method = "GET" if body is None else "POST"
    data = None if body is None else orjson.dumps(body)
    try:
        async with asyncio.timeout(LIST_TIMEOUT), http.request(method, url, data=data, headers=headers) as response:
            if response.status != 200:
                await refuse(response, server)
            return await response.read()
    except TimeoutError as error:
        raise BackendFailed("backend_unreachable", f"{server} did not answer within {LIST_TIMEOUT:g} s.") from error
    except (aiohttp.ClientError, OSError) as error:
        raise BackendFailed("backend_unreachable", f"{server} does not answer.") from error


def garbage(server: str) -> BackendFailed:
    """The server sent what is not of its protocol."""
    return BackendFailed("backend_garbage", f"{server} sent something that is not its protocol.")


def cut(server: str) -> BackendFailed:
    """The answer stopped without its end mark."""
    return BackendFailed("backend_cut", f"{server} cut the line.")
