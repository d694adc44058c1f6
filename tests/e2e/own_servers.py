"""One server of each kind that belongs to one test or measurement alone, to be restarted, stopped and counted."""

from collections.abc import Generator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

from tests.servers.mongo import MongoServer
from tests.servers.rabbitmq import RabbitmqServer, new_virtual_host
from tests.servers.redis import RedisServer

Server = RabbitmqServer | RedisServer | MongoServer
Servers = Mapping[str, Server]


@contextmanager
def own_servers(folder: Path) -> Generator[Servers, None, None]:
    """RabbitMQ, Redis and a MongoDB, running while inside, by name. Raises FileNotFoundError where one is not installed."""
    rabbitmq = RabbitmqServer(folder / "rabbitmq")
    servers: Servers = {
        "rabbitmq": rabbitmq,
        "redis": RedisServer(folder / "redis"),
        "mongo": MongoServer(folder / "mongo"),
    }
    with ExitStack() as stack:
        stack.callback(rabbitmq.close)
        for name, server in servers.items():
            server.start()
            if name != "rabbitmq":
                stack.callback(server.stop)
        yield servers


def settings_of(servers: Servers) -> dict[str, str]:
    """The environment that points a platform at them."""
    return {
        "OLLAMANET_RABBITMQ_URL": new_virtual_host(servers["rabbitmq"].url, "own"),
        "OLLAMANET_REDIS_URL": servers["redis"].url,
        "OLLAMANET_MONGO_URL": servers["mongo"].url,
    }
