"""The environment that points distributed processes at a new corner of the run's real servers."""

from collections.abc import Callable

import pytest

NewServers = Callable[[], dict[str, str]]


@pytest.fixture(scope="session")
def new_servers(
    new_rabbitmq_url: Callable[[], str], new_redis_url: Callable[[], str], new_mongo_url: Callable[[], str]
) -> NewServers:
    """A virtual host, a database number and a database that nobody else uses, at each call."""

    def new() -> dict[str, str]:
        return {
            "OLLAMANET_RABBITMQ_URL": new_rabbitmq_url(),
            "OLLAMANET_REDIS_URL": new_redis_url(),
            "OLLAMANET_MONGO_URL": new_mongo_url(),
        }

    return new
