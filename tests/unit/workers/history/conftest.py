"""A history worker over each adapter of `GenerationStreams`."""

from collections.abc import AsyncGenerator
from pathlib import Path

import pytest

from contracts.ports.streams import GenerationStreams
from tests.contract.ports.streams.places import MemoryPlace, Place, RedisPlace
from tests.unit.workers.history.historian import Historian


@pytest.fixture(params=["memory", "redis"])
def place(request: pytest.FixtureRequest) -> Place:
    """Logs, and notes for the sweep, that nobody else has."""
    return MemoryPlace() if request.param == "memory" else RedisPlace(request.getfixturevalue("new_redis_url")())


@pytest.fixture
async def streams(place: Place) -> AsyncGenerator[GenerationStreams, None]:
    async with place.process() as opened:
        yield opened


@pytest.fixture
async def historian(streams: GenerationStreams, tmp_path: Path) -> AsyncGenerator[Historian, None]:
    async with Historian(streams, tmp_path / "ollamanet.db") as opened:
        yield opened
