"""Every test of this folder runs on every adapter of `GenerationStreams`."""

from collections.abc import AsyncGenerator

import pytest

from contracts.ports.streams import GenerationStreams
from tests.contract.ports.streams.places import MemoryPlace, Place, RedisPlace


@pytest.fixture(scope="session")
def redis_url_of_suite(request: pytest.FixtureRequest) -> str:
    """One database for the whole suite: ids are unique."""
    return request.getfixturevalue("new_redis_url")()


@pytest.fixture(params=["memory", "redis"])
def place(request: pytest.FixtureRequest) -> Place:
    return MemoryPlace() if request.param == "memory" else RedisPlace(request.getfixturevalue("redis_url_of_suite"))


@pytest.fixture
async def streams(place: Place) -> AsyncGenerator[GenerationStreams, None]:
    """The adapter as one process has it."""
    async with place.process() as opened:
        yield opened
