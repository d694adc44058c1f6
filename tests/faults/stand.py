"""A distributed platform over servers of its own, whose processes are killed, frozen and started again."""

import asyncio
import json
import os
import signal
import time
from collections import defaultdict
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import cast
from urllib.parse import urlsplit
from uuid import uuid4

import aio_pika
from pymongo import AsyncMongoClient
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import ConstantBackoff

from contracts.topology import DEAD, durable_queues
from tests.e2e.client import Person
from tests.e2e.compositions import Platform, distributed, launch
from tests.e2e.own_servers import Servers, own_servers, settings_of
from tests.eventually import eventually
from tests.faults.ledger import Account, Allowed
from tests.faults.watching import Watch
from tests.servers.mongo import MongoServer
from tests.servers.rabbitmq import RabbitmqServer
from tests.servers.redis import RedisServer

WORKERS = ("inference-1", "inference-2")
MODULES = {"edge": "api.main", "inference": "workers.inference.main", "history": "workers.history.main"}
SLOTS = 16
SETTLED = 5.5
"""Seconds: a worker whose own connection to Redis is younger than 5 s believes in no death and waits for the lease to run out."""
RECORDED_WITHIN = 30.0
"""Seconds until everything that was accepted is in the store and nothing of it is anywhere else."""
KILLED = 137


class Stand:
    """The platform, its servers, and what they know: the store's replies, the back-end's calls, what is left in Redis and the broker.

    Each inference worker has a back-end of its own name, so that `started` says who runs a generation.
    """

    def __init__(self, platform: Platform, servers: Servers, folder: Path) -> None:
        self.platform = platform
        self.servers = servers
        self.folder = folder
        self._extra = 0
        self._people: list[Person] = []
        self._told: set[str] = set()
        self._born = dict.fromkeys(platform.processes, time.monotonic())
        self._mongo: AsyncMongoClient[dict[str, object]] = AsyncMongoClient(platform.environment["OLLAMANET_MONGO_URL"])
        self.redis = Redis.from_url(platform.environment["OLLAMANET_REDIS_URL"], retry=Retry(ConstantBackoff(0.1), 50))

    @property
    def rabbitmq(self) -> RabbitmqServer:
        return cast(RabbitmqServer, self.servers["rabbitmq"])

    @property
    def redis_server(self) -> RedisServer:
        return cast(RedisServer, self.servers["redis"])

    @property
    def mongo_server(self) -> MongoServer:
        return cast(MongoServer, self.servers["mongo"])

    @property
    def virtual_host(self) -> str:
        return urlsplit(self.platform.environment["OLLAMANET_RABBITMQ_URL"]).path.lstrip("/")

    async def close(self) -> None:
        await self._mongo.close()
        await self.redis.aclose()

    # processes

    def kill(self, name: str) -> None:
        """`kill -9`, and wait for its end."""
        self.platform.kill(name)

    def signal(self, name: str, number: signal.Signals) -> None:
        """SIGSTOP freezes a process, SIGCONT wakes it up, SIGTERM asks it to end."""
        os.kill(self.platform.processes[name].pid, number)

    def ended(self, name: str) -> int | None:
        """The exit code of a process that ended."""
        return self.platform.processes[name].poll()

    async def restart(self, name: str) -> None:
        """Start a process again that has ended; returns when it is ready."""
        await asyncio.to_thread(self.platform.restart, name)
        self._born[name] = time.monotonic()

    async def whole(self) -> None:
        """Every process of the platform runs and is ready."""
        dead = [name for name in self.platform.processes if self.ended(name) is not None]
        for name in dead:
            self.platform.launch(name, *self.platform.commands[name])
        for name in dead:
            await asyncio.to_thread(self.platform.await_ready, name)
            self._born[name] = time.monotonic()

    async def settled(self, name: str) -> None:
        """Wait until a worker believes in the death of others."""
        await asyncio.sleep(max(0.0, self._born[name] + SETTLED - time.monotonic()))

    @asynccontextmanager
    async def doomed(self, kind: str, *points: str) -> AsyncGenerator[dict[str, tuple[str, str]], None]:
        """More processes of that kind, each of which ends after a call: by that call, its name and the URL that an edge answers at.

        They are ready when the context is entered; those that live when it is left are killed.
        """
        made: dict[str, tuple[str, str]] = {}
        for point in points:
            self._extra += 1
            name = f"{kind}-doomed-{self._extra}"
            own = {"OLLAMANET_FAILPOINT": point, **_own_backend(self.platform.fake, name)}
            port = launch(self.platform, name, MODULES[kind], own)
            made[point] = name, f"http://127.0.0.1:{port}"
        try:
            for name, _ in made.values():
                await asyncio.to_thread(self.platform.await_ready, name)
            yield made
        finally:
            for name, _ in made.values():
                process = self.platform.processes.pop(name)
                del self.platform.commands[name]
                if process.poll() is None:
                    process.kill()
                process.wait(10)

    @asynccontextmanager
    async def with_slots(self, slots: int) -> AsyncGenerator[None, None]:
        """Both inference workers run at most so many generations at once while inside."""
        await self._restart_workers(slots)
        try:
            yield
        finally:
            await self._restart_workers(SLOTS)

    async def _restart_workers(self, slots: int) -> None:
        for name in WORKERS:
            self.signal(name, signal.SIGTERM)
            await eventually(lambda one=name: self.ended(one) is not None, 40)
            self.platform.commands[name][1].update(_own_backend(self.platform.fake, name, slots))
        await self.whole()

    async def pass_deadlines(self) -> None:
        """Let the sweep's notes be of an hour ago: a hard deadline is a quarter of an hour away at least."""
        ago = int(time.time() * 1000) - 3_600_000
        async for key in self.redis.scan_iter(match="sweep:*", count=1000):
            for note in await self.redis.zrange(key, 0, -1):
                await self.redis.zadd(key, {note: ago})

    # people

    async def people(self, number: int, edges: Sequence[str] = ()) -> list[Person]:
        """So many new accounts, who know these edges, then the platform's."""
        come = list(await asyncio.gather(*(Person.signs_up(self.platform.edges) for _ in range(number))))
        if edges:
            self._people += come
            come = [Person([*edges, *one.edges], one.headers["Authorization"].split()[1], one.user) for one in come]
        self._people += come
        return come

    async def everybody_leaves(self) -> None:
        """Close their connections."""
        while self._people:
            await self._people.pop().leaves()

    async def answers(self) -> None:
        """Wait until both edges show the models and a question is answered."""
        (someone,) = await self.people(1)

        async def answered() -> bool:
            for edge in range(len(self.platform.edges)):
                watch = Watch(someone, f"Ready? {uuid4()}", "fast", 4, edge, insists=False)
                if (end := (await watch.run(10)).end) is None or end.name != "completed":
                    return False
            return True

        await eventually(answered, 30)

    # what is known afterwards

    async def accounts(self, watches: Sequence[Watch], allowed: Allowed) -> list[Account]:
        """Of each question, once everything accepted is recorded (or `RECORDED_WITHIN` seconds later)."""
        asked = [one for one in watches if one.accepted]
        await self._in_time(lambda: self._all_recorded(asked), RECORDED_WITHIN)  # the ledger says what is missing
        replies, calls = await self._replies(watches), await self.calls(watches)
        return [Account(one, replies[one.content], calls[one.content], allowed) for one in watches]

    async def _all_recorded(self, watches: Sequence[Watch]) -> bool:
        ids = [one.generation_id for one in watches]
        return await self._messages.count_documents({"generation_id": {"$in": ids}}) >= len(ids)

    async def _replies(self, watches: Sequence[Watch]) -> Mapping[str, list[dict[str, object]]]:
        """The recorded replies of each question, by its content."""
        found: dict[str, list[dict[str, object]]] = defaultdict(list)
        contents = [one.content for one in watches]
        questions = {one["_id"]: one["content"] async for one in self._messages.find({"content": {"$in": contents}})}
        async for one in self._messages.find({"parent_id": {"$in": list(questions)}, "role": "assistant"}):
            found[str(questions[one["parent_id"]])].append(one)
        return found

    async def calls(self, watches: Sequence[Watch]) -> Mapping[str, list[dict[str, object]]]:
        """The back-end's calls of each question, by its content; probes left out."""
        found: dict[str, list[dict[str, object]]] = defaultdict(list)
        contents = {one.content for one in watches}
        for call in await asyncio.to_thread(self.platform.calls):
            if call.get("probe"):
                continue
            for message in cast(list[dict[str, object]], call["messages"]):
                if (content := str(message["content"])) in contents and message["role"] == "user":
                    found[content].append(call)
        return found

    async def left(self) -> list[str]:
        """What is left in Redis and the broker, a sentence for each kind, when it has had time to go; each thing is told once."""
        if await self._in_time(self._nothing_left, RECORDED_WITHIN):
            return []
        found = await self._leftovers()
        self._told.update(found)
        kinds: dict[str, list[str]] = defaultdict(list)
        for one in found:
            kinds[one.split()[0]].append(one)
        return [f"{len(ones)} left, like {ones[0]}" for ones in kinds.values()]

    async def _in_time(self, fact: Callable[[], Awaitable[bool]], seconds: float) -> bool:
        """Whether it becomes true; looked at gently, for the store of the tests is a Python program."""
        deadline, pause = time.monotonic() + seconds, 0.02
        while not (true := await fact()) and time.monotonic() < deadline:
            await asyncio.sleep(pause)
            pause = min(2 * pause, 0.5)
        return true

    async def _nothing_left(self) -> bool:
        return not await self._leftovers()

    async def _leftovers(self) -> list[str]:
        found: list[str] = []
        async for key in self.redis.scan_iter(match="{u:*}:open", count=1000):
            found += [f"entry {one.decode()} of {key.decode()}" for one in await self.redis.hkeys(key)]
        async for key in self.redis.scan_iter(match="{u:*}:live", count=1000):
            found += [f"slot {one.decode()} of {key.decode()}" for one in await self.redis.zrange(key, 0, -1)]
        async for key in self.redis.scan_iter(match="sweep:*", count=1000):
            found += [f"note {one.decode()} in {key.decode()}" for one in await self.redis.zrange(key, 0, -1)]
        found += [f"messages: {number} in {queue}" for queue, number in (await self.messages()).items() if number]
        return [one for one in found if one not in self._told]

    async def messages(self) -> dict[str, int]:
        """How many messages are ready in each queue of ours."""
        connection = await aio_pika.connect(self.platform.environment["OLLAMANET_RABBITMQ_URL"])
        async with connection:
            channel = await connection.channel()
            counted: dict[str, int] = {}
            for queue in durable_queues():
                declared = await channel.declare_queue(queue.name, passive=True)
                counted[queue.name] = declared.declaration_result.message_count or 0
            return counted

    async def dead_letters(self) -> int:
        """Dead letters in the broker and in the store."""
        waiting = (await self.messages())[DEAD.name]
        return waiting + await self._mongo.get_default_database("ollamanet")["dead_letters"].count_documents({})

    @property
    def _messages(self):
        return self._mongo.get_default_database("ollamanet")["messages"]


def _own_backend(fake: str, name: str, slots: int = SLOTS) -> dict[str, str]:
    return {"OLLAMANET_BACKENDS": json.dumps([{"name": name, "kind": "ollama", "url": fake, "slots": slots}])}


@contextmanager
def standing(folder: Path, more: Mapping[str, str] | None = None) -> Generator[Stand, None, None]:
    """A stand in that folder, running while inside. Raises FileNotFoundError where a server is not installed."""
    with own_servers(folder) as servers:
        settings = {
            **settings_of(servers),
            "PYTHONDONTWRITEBYTECODE": "",  # a start takes twice as long without compiled modules
            "PYTHONPYCACHEPREFIX": str(folder / "compiled"),
            **(more or {}),
        }
        platform = distributed(folder, settings, own={name: _own_backend("{fake}", name) for name in WORKERS})
        try:
            yield Stand(platform, servers, folder)
        finally:
            platform.stop()
