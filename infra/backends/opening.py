"""A back-end, opened by its kind over connections of its own."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import aiohttp

from contracts.ports.backend import Backend
from contracts.records import BackendSettings
from infra.backends.guard import guarded_connector
from infra.backends.lines import CONNECT_TIMEOUT, LINE_BYTES
from infra.ollama.backend import OllamaBackend
from infra.openai.backend import OpenAIBackend

ADAPTERS = {"ollama": OllamaBackend, "fake": OllamaBackend, "openai": OpenAIBackend}


@asynccontextmanager
async def opened(settings: BackendSettings, *, allow_private: bool) -> AsyncGenerator[Backend, None]:
    """The back-end; its connections close on leaving. Unless `allow_private`, none leads to a private address.

    Raises ValueError where its `tls_ca` has no certificate.
    """
    connector = guarded_connector(settings, allow_private=allow_private)
    # no total time-out: each call has its own patience
    timeout = aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_TIMEOUT)
    async with aiohttp.ClientSession(
        connector=connector, timeout=timeout, read_bufsize=LINE_BYTES, cookie_jar=aiohttp.DummyCookieJar()
    ) as http:
        yield ADAPTERS[settings.kind](settings, http)
