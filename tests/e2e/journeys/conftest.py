"""The platform that journeys speak to, as a person's client would."""

from collections.abc import AsyncIterator, Iterator
from functools import partial

import httpx
import pytest

from tests.e2e.client import Person
from tests.e2e.compositions import Platform, distributed, embedded
from tests.eventually import eventually


@pytest.fixture(scope="session", params=["embedded", "distributed"])
def platform(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    folder = tmp_path_factory.mktemp(request.param)
    own = (
        embedded
        if request.param == "embedded"
        else partial(distributed, servers=request.getfixturevalue("new_servers")())
    )
    running = own(folder)
    yield running
    running.stop()


@pytest.fixture
async def person(platform: Platform) -> AsyncIterator[Person]:
    someone = await Person.signs_up(platform.edges)
    await eventually(lambda: _models(someone))
    yield someone
    await someone.leaves()


async def _models(someone: Person) -> bool:
    """Every edge shows the models."""
    shown: list[httpx.Response] = [await someone.edge(n).get("/api/models") for n in range(len(someone.edges))]
    return all(any(model["name"] == "small" for model in response.json()["items"]) for response in shown)
