"""`python -m infra.rabbitmq.definitions` writes definitions.json from `contracts/topology.py`, for `load_definitions` and for people.

Processes declare the same at their start; loading it before them lets a broker be inspected, or fed, without them.
"""

import json
from pathlib import Path

from contracts.topology import EXCHANGES, durable_queues

FILE = Path(__file__).with_name("definitions.json")
VHOST = "/"


def definitions() -> dict[str, object]:
    """Exchanges, queues and bindings of the default pool, as RabbitMQ imports them. Users are the deployment's."""
    queues = durable_queues()
    return {
        "vhosts": [{"name": VHOST}],
        "exchanges": [
            {
                "name": one.name, "vhost": VHOST, "type": one.kind, "durable": True, "auto_delete": False, "internal": False,
                "arguments": {},
            }
            for one in EXCHANGES
        ],
        "queues": [
            {
                "name": one.name, "vhost": VHOST, "durable": True, "auto_delete": False, "arguments": one.broker_arguments(),
            }
            for one in queues
        ],
        "bindings": [
            {
                "source": binding.exchange.name, "vhost": VHOST, "destination": one.name, "destination_type": "queue",
                "routing_key": binding.key, "arguments": {},
            }
            for one in queues
            for binding in one.bindings
        ],
    }  # fmt: skip


def text() -> str:
    """The file's content."""
    return json.dumps(definitions(), indent=2) + "\n"


if __name__ == "__main__":
    FILE.write_text(text())
