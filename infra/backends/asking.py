"""Short questions about a model server itself, each answer whole and bounded."""

import asyncio
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from typing import TypeVar

import aiohttp
import msgspec
import orjson

from contracts.errors import BackendFailed
from infra.backends.refusals import Refuse, cut, garbage, refuse, unreachable

LIST_TIMEOUT = 10.0
"""Seconds for all that one list of models needs."""
ANSWER_BYTES = 16 * 1024 * 1024

T = TypeVar("T")


@asynccontextmanager
async def within_time(server: str) -> AsyncGenerator[None, None]:
    """What is asked inside takes 10 s at most. Raises BackendFailed (backend_unreachable)."""
    try:
        async with asyncio.timeout(LIST_TIMEOUT):
            yield
    except TimeoutError as error:
        raise BackendFailed("backend_unreachable", f"{server} did not answer within {LIST_TIMEOUT:g} s.") from error


async def ask(
    http: aiohttp.ClientSession,
    url: str,
    headers: Mapping[str, str],
    server: str,
    kind: type[T],
    body: Mapping[str, object] | None = None,
    *,
    refused: Refuse = refuse,
) -> T:
    """The answer of a GET (or, with a body, a POST) as a `kind`. Raises BackendFailed; `refused` says what an error status means."""
    method = "GET" if body is None else "POST"
    data = None if body is None else orjson.dumps(body)
    try:
        async with http.request(method, url, data=data, headers=headers, allow_redirects=False) as response:
            if response.status != 200:
                await refused(response, server)
            said = await _whole(response, server)
    except (aiohttp.ClientError, OSError) as error:
        raise unreachable(server, error) from error
    try:
        return msgspec.json.decode(said, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise garbage(server) from error


async def order(
    http: aiohttp.ClientSession,
    method: str,
    url: str,
    headers: Mapping[str, str],
    server: str,
    body: Mapping[str, object],
    *,
    refused: Refuse = refuse,
) -> None:
    """Something to be done, which 200 says it was; what else the answer says is not read. Raises BackendFailed."""
    try:
        data = orjson.dumps(body)
        async with http.request(method, url, data=data, headers=headers, allow_redirects=False) as response:
            if response.status != 200:
                await refused(response, server)
    except (aiohttp.ClientError, OSError) as error:
        raise unreachable(server, error) from error


async def _whole(response: aiohttp.ClientResponse, server: str) -> bytes:
    said = bytearray()
    try:
        while more := await response.content.readany():
            said += more
            if len(said) > ANSWER_BYTES:
                raise garbage(server)
    except aiohttp.ClientPayloadError as error:
        raise cut(server) from error
    return bytes(said)
