"""The environment that points distributed processes at this test worker's corner of the real servers."""

import pytest


@pytest.fixture(scope="session")
def server_settings(rabbitmq_url: str, redis_url: str, mongo_url: str) -> dict[str, str]:
    return {
        "OLLAMANET_RABBITMQ_URL": rabbitmq_url,
        "OLLAMANET_REDIS_URL": redis_url,
        "OLLAMANET_MONGO_URL": mongo_url,
    }
