"""Platforms of a test's own: what is killed here is nobody else's."""

from collections.abc import AsyncIterator, Callable, Iterator

import pytest

from tests.e2e.client import Person
from tests.e2e.compositions import Platform, embedded
from tests.eventually import eventually
from tests.faults.stand import Stand, standing


@pytest.fixture(scope="session")
async def stand(
    tmp_path_factory: pytest.TempPathFactory,
    new_rabbitmq_url: Callable[[], str],
    new_redis_url: Callable[[], str],
    new_mongo_url: Callable[[], str],
) -> AsyncIterator[Stand]:
    """A distributed platform over servers of its own, all of them here to be shaken.

    The other fixtures are asked for so that a missing server is skipped and said in the usual way.
    """
    with standing(tmp_path_factory.mktemp("stand")) as running:
        yield running
        await running.close()


@pytest.fixture
async def whole(stand: Stand) -> AsyncIterator[Stand]:
    """The stand, whole before and after."""
    await stand.whole()
    await stand.answers()
    yield stand
    await stand.whole()
    await stand.everybody_leaves()


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
