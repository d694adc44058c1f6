"""A distributed platform over servers of its own and the fake back-end, for the time of a measurement."""

import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.measures import Target
from tests.e2e.compositions import distributed
from tests.e2e.own_servers import Server, own_servers, settings_of
from tests.servers.rabbitmq import RabbitmqServer

SLOTS = 256
"""Generations that one worker runs at once: more than a measurement asks for, so that nothing waits for a slot."""
UNLIMITED = {"OLLAMANET_LIVE_GENERATIONS": "0"}
"""Twenty people ask everything."""


@contextmanager
def running() -> Generator[Target, None, None]:
    """Two edges, two inference workers, history, catalog, RabbitMQ, Redis, a MongoDB and the fake back-end."""
    with tempfile.TemporaryDirectory(prefix="ollamanet-bench-") as name:
        folder = Path(name)
        with own_servers(folder) as servers:
            platform = distributed(folder, settings_of(servers), more=UNLIMITED, slots=SLOTS)
            try:
                pids = {name: [process.pid] for name, process in platform.processes.items()}
                yield Target(platform.edges, platform.fake, pids | {name: _pids(one) for name, one in servers.items()})
            finally:
                platform.stop()


def _pids(server: Server) -> list[int]:
    if isinstance(server, RabbitmqServer):
        return server.pids
    return [server.process.pid] if server.process is not None else []
