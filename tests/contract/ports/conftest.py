"""The stores, new for each test, on each technology."""

from collections.abc import AsyncGenerator
from pathlib import Path

import pytest

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
