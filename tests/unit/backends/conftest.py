"""Both adapters over a server whose every byte the test decides."""

import asyncio
from collections.abc import AsyncGenerator

import pytest

from contracts.ports.backend import Backend
from contracts.records import BackendSettings
from infra.backends.opening import opened
from tests.unit.backends.raw import RawServer


@pytest.fixture
async def raw() -> AsyncGenerator[RawServer, None]:
    server = RawServer()
    listening = await asyncio.start_server(server.serve, "127.0.0.1", 0)
    server.url = f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}"
    async with listening:
        yield server


@pytest.fixture
async def openai(raw: RawServer) -> AsyncGenerator[Backend, None]:
    settings = BackendSettings(name="gpu-1", kind="openai", url=f"{raw.url}/v1", api_key="secret-key")
    async with opened(settings, allow_private=True) as backend:
        yield backend


@pytest.fixture
async def ollama(raw: RawServer) -> AsyncGenerator[Backend, None]:
    settings = BackendSettings(name="gpu-1", kind="ollama", url=raw.url, pool="large")
    async with opened(settings, allow_private=True) as backend:
        yield backend
