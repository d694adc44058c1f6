"""Platforms of a test's own: what is killed here is nobody else's."""

from collections.abc import Iterator

import pytest

from tests.e2e.client import Person
from tests.e2e.compositions import Platform, distributed, embedded
from tests.eventually import eventually
from tests.servers.settings import NewServers


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory, new_servers: NewServers) -> Iterator[Platform]:
    running = distributed(tmp_path_factory.mktemp("cluster"), new_servers())
    yield running
    running.stop()


@pytest.fixture
def laptop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    running = embedded(tmp_path_factory.mktemp("laptop"))
    yield running
    running.stop()


@pytest.fixture
def recorded():
    """Wait until the store has the reply that a stream showed; gives the message."""

    async def wait(person: Person, accepted: dict[str, object], seconds: float = 20) -> dict[str, object]:
        async def found() -> dict[str, object] | None:
            chat = await person.chat(accepted["chat_id"])
            reply = chat["messages"][-1]  # type: ignore[index]
            done = reply["id"] == accepted["reply_id"] and reply["status"] != "streaming"
            return reply if done else None

        reply = await eventually(found, seconds)
        assert reply is not None
        return reply

    return wait
