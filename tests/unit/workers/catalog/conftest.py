"""The stores of one platform."""

from collections.abc import AsyncGenerator
from pathlib import Path

import pytest

from infra.sqlite.database import SqliteDatabase
from tests.unit.workers.catalog.orders import ManagedBackend, Office


@pytest.fixture
async def office(tmp_path: Path) -> AsyncGenerator[Office, None]:
    async with SqliteDatabase(tmp_path / "office") as database:
        yield Office(database, tmp_path)


@pytest.fixture
def one() -> ManagedBackend:
    return ManagedBackend(name="one")
