"""The back-ends of a configuration, opened by kind over one HTTP session."""

from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager

import aiohttp

from contracts.ports.backend import Backend
from contracts.records import BackendSettings
from infra.backends.lines import CONNECT_TIMEOUT, LINE_BYTES
from infra.ollama.backend import OllamaBackend
from infra.openai.backend import OpenAIBackend

ADAPTERS = {"ollama": OllamaBackend, "fake": OllamaBackend, "openai": OpenAIBackend}


@asynccontextmanager
async def open_backends(settings: Sequence[BackendSettings]) -> AsyncGenerator[Mapping[str, Backend], None]:
    """Each back-end by its name; their connections close on leaving."""
    # no limit of connections: slots are the limit; no total time-out: each call has its own patience.
    # Each call has its own connection: llama.cpp closes kept ones when it likes, and a POST that meets that has failed.
    connector = aiohttp.TCPConnector(limit=0, force_close=True)
    timeout = aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_TIMEOUT)
    async with aiohttp.ClientSession(
        connector=connector, timeout=timeout, read_bufsize=LINE_BYTES, cookie_jar=aiohttp.DummyCookieJar()
    ) as http:
        yield {one.name: ADAPTERS[one.kind](one, http) for one in settings}
