"""Redis servers of one test, to be stopped, killed, frozen and filled."""

from collections.abc import AsyncGenerator, Callable, Generator
from pathlib import Path

import pytest
import redis.asyncio

from infra.redis.streams import RedisGenerationStreams
from tests.integration.redis.proxy import Proxy
from tests.servers.redis import RedisServer


@pytest.fixture(autouse=True, scope="session")
def redis_is_here(new_redis_url: Callable[[], str]) -> None:
    """Skipped, with its sentence, where there is none."""


@pytest.fixture
def server(tmp_path: Path) -> Generator[RedisServer, None, None]:
    """A private one, running."""
    started = RedisServer(tmp_path / "redis")
    started.start()
    yield started
    started.kill()


@pytest.fixture
async def admin(server: RedisServer) -> AsyncGenerator[redis.asyncio.Redis, None]:
    """An administrator's client of the private server."""
    async with redis.asyncio.Redis.from_url(server.url) as client:
        yield client


@pytest.fixture
async def streams(server: RedisServer) -> AsyncGenerator[RedisGenerationStreams, None]:
    """A process on the private server that looks often and believes its eyes."""
    async with RedisGenerationStreams(server.url, look=0.2, settled=0) as opened:
        yield opened


@pytest.fixture
async def proxy(server: RedisServer) -> AsyncGenerator[Proxy, None]:
    """A way to the private server on which things happen."""
    async with Proxy(server.port) as opened:
        yield opened
