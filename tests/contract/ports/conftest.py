"""Buses and stores, new for each test, on each technology."""

from collections.abc import AsyncGenerator
from pathlib import Path

import pytest

from contracts.ports.bus import Bus
from tests.contract.ports.buses import RabbitStore, SqliteStore, Store
from tests.contract.ports.stores import Stores, on_mongo, on_sqlite


@pytest.fixture(params=["sqlite", "mongo"])
async def stores(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncGenerator[Stores]:
    opening = (
        on_sqlite(tmp_path / "ollamanet.db")
        if request.param == "sqlite"
        else on_mongo(request.getfixturevalue("new_mongo_url")())
    )
    async with opening as opened:
        yield opened


@pytest.fixture(params=["sqlite", "rabbitmq"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    """A place for messages that nobody else uses."""
    if request.param == "sqlite":
        return SqliteStore(tmp_path)
    return RabbitStore(request.getfixturevalue("new_rabbitmq_url")())


@pytest.fixture
async def bus(store: Store) -> AsyncGenerator[Bus]:
    async with store.open() as opened:
        yield opened
