"""A RabbitMQ that a test may end, freeze or choke."""

from collections.abc import Callable, Generator
from pathlib import Path

import pytest

from contracts.ids import new_id
from tests.servers.rabbitmq import RabbitmqServer, new_virtual_host


@pytest.fixture(scope="module")
def server(rabbitmq_url: str, tmp_path_factory: pytest.TempPathFactory) -> Generator[RabbitmqServer]:
    """Not the run's own. `rabbitmq_url`: skipped where none is installed."""
    folder: Path = tmp_path_factory.mktemp("rabbitmq") / "server"
    server = RabbitmqServer(folder)
    try:
        server.start()
    except FileNotFoundError as missing:  # the run's own is one that a URL names
        pytest.skip(str(missing))
    yield server
    server.close()


@pytest.fixture
def new_url(server: RabbitmqServer) -> Callable[[], str]:
    """Each call makes a virtual host on it."""
    return lambda: new_virtual_host(server.url, new_id())
