"""The adapters of `Bus` as its suite needs them: opened and opened again on one store, fed with nonsense, counted."""

from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Protocol

import aio_pika
from aio_pika.exceptions import ChannelClosed

from contracts.ports.bus import Bus
from contracts.topology import Queue
from infra.rabbitmq.bus import RabbitBus
from infra.sqlite.bus import SqliteBus
from infra.sqlite.database import SqliteDatabase


class Store(Protocol):
    """Where an adapter keeps messages; one bus on it at a time."""

    def open(self) -> AbstractAsyncContextManager[Bus]: ...

    async def put(self, queue: Queue, headers: Mapping[str, str], body: bytes) -> None:
        """A message as another program may have left it. `headers`: CloudEvents attributes without a prefix."""
        ...

    async def waiting(self, queue: Queue) -> int:
        """How many messages of the queue nobody holds."""
        ...


class SqliteStore:
    """A file."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / "bus.sqlite"

    def open(self) -> AbstractAsyncContextManager[Bus]:
        return SqliteBus(self._path, source="test")

    async def put(self, queue: Queue, headers: Mapping[str, str], body: bytes) -> None:
        values = ", ".join(f"'{name}', ?" for name in headers)
        statement = f"INSERT INTO bus_messages (queue, envelope, body) VALUES (?, json_object({values}), ?)"
        async with SqliteDatabase(self._path) as database:
            await database.write(lambda one: one.execute(statement, (queue.name, *headers.values(), body)))

    async def waiting(self, queue: Queue) -> int:
        count = "SELECT count(*) FROM bus_messages WHERE queue = ? AND taken = 0"
        async with SqliteDatabase(self._path) as database:
            return await database.read(lambda one: one.execute(count, (queue.name,)).fetchone()[0])


class RabbitStore:
    """A virtual host."""

    def __init__(self, url: str) -> None:
        self.url = url

    def open(self) -> AbstractAsyncContextManager[Bus]:
        return RabbitBus(self.url, source="test")

    async def put(self, queue: Queue, headers: Mapping[str, str], body: bytes) -> None:
        async with await aio_pika.connect(self.url) as connection, connection.channel() as channel:
            prefixed = {f"cloudEvents_{name}": value for name, value in headers.items()}
            await channel.default_exchange.publish(aio_pika.Message(body, headers=dict(prefixed)), queue.name)

    async def waiting(self, queue: Queue) -> int:
        async with await aio_pika.connect(self.url) as connection, connection.channel() as channel:
            try:
                declared = await channel.declare_queue(queue.name, passive=True)
            except ChannelClosed:
                return 0
            return declared.declaration_result.message_count or 0
