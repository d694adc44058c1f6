"""A model server that is away, and comes back."""

from collections.abc import AsyncIterator

import pytest

from tests.e2e.client import Person
from tests.eventually import eventually
from tests.faults.stand import Stand


@pytest.fixture
async def person(stand: Stand) -> AsyncIterator[Person]:
    someone = await Person.signs_up(stand.platform.edges)
    yield someone
    await someone.leaves()


async def test_a_back_end_that_is_away_leaves_explore_on_every_edge_and_comes_back(
    stand: Stand, person: Person
) -> None:
    async def statuses() -> set[str]:
        shown = [(await person.edge(number).get("/api/models/small")).json() for number in (0, 1)]
        return {one["status"] for one in shown}

    async def all_are(status: str) -> bool:
        return await statuses() == {status}

    await eventually(lambda: all_are("available"), 20)
    stand.platform.kill("fake")
    await eventually(lambda: all_are("unavailable"), 25)  # two looks in a row, 5 s apart, that fail
    response = await person.edge().post("/api/chats/stream", json={"model": "small", "content": "Anybody?"})
    assert (response.status_code, response.json()["code"]) == (503, "model_unavailable")
    assert int(response.headers["Retry-After"]) >= 1
    stand.platform.restart("fake")
    await eventually(lambda: all_are("available"), 20)
    await eventually(lambda: _answers(person), 20)


async def _answers(person: Person) -> bool:
    """Whether a question is answered now."""
    response = await person.edge().post("/api/chats/stream", json={"model": "small", "content": "Well?"})
    return response.status_code == 200 and "event: completed" in response.text
