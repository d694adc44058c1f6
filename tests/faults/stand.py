"""A distributed platform over servers of its own, whose processes are killed, frozen and started again."""

import asyncio
import json
import os
import signal
import time
from collections.abc import AsyncGenerator, Generator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import cast
from urllib.parse import urlsplit

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import ConstantBackoff

from tests.e2e.client import Person
from tests.e2e.compositions import Platform, distributed, launch
from tests.e2e.own_servers import Servers, own_servers, settings_of
from tests.eventually import eventually
from tests.faults.evidence import Evidence
from tests.faults.watching import Watch, question
from tests.servers.mongo import MongoServer
from tests.servers.rabbitmq import RabbitmqServer
from tests.servers.redis import RedisServer

WORKERS = ("inference-1", "inference-2")
MODULES = {"edge": "api.main", "inference": "workers.inference.main", "history": "workers.history.main"}
SLOTS = 16
SETTLED = 5.5
"""Seconds: a worker whose own connection to Redis is younger than 5 s believes in no death and waits for the lease to run out."""
KILLED = 137


class Stand:
    """The platform, its servers, people who use it, and what is known afterwards (`evidence`).

    Each inference worker has a back-end of its own name, so that `started` says who runs a generation.
    """

    def __init__(self, platform: Platform, servers: Servers, folder: Path) -> None:
        self.platform = platform
        self.servers = servers
        self.folder = folder
        self._extra = 0
        self._people: list[Person] = []
        self._born = dict.fromkeys(platform.processes, time.monotonic())
        self.redis = Redis.from_url(platform.environment["OLLAMANET_REDIS_URL"], retry=Retry(ConstantBackoff(0.1), 50))
        self.evidence = Evidence(platform, self.redis)

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
        await self.evidence.close()
        await self.redis.aclose()

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
            await self._restart_workers()

    @asynccontextmanager
    async def with_backends(self, backends: Sequence[Mapping[str, object]]) -> AsyncGenerator[None, None]:
        """Both inference workers have these instead of one of their own while inside."""
        await self._restart_workers(settings=_alone(backends))
        try:
            yield
        finally:
            await self._restart_workers()

    async def _restart_workers(self, slots: int = SLOTS, settings: Mapping[str, str] | None = None) -> None:
        for name in WORKERS:
            self.signal(name, signal.SIGTERM)
            await eventually(lambda one=name: self.ended(one) is not None, 40)
            self.platform.commands[name][1].update(settings or _own_backend(self.platform.fake, name, slots))
        await self.whole()

    async def pass_deadlines(self) -> None:
        """Let the sweep's notes be of an hour ago: a hard deadline is a quarter of an hour away at least."""
        ago = int(time.time() * 1000) - 3_600_000
        async for key in self.redis.scan_iter(match="sweep:*", count=1000):
            for note in await self.redis.zrange(key, 0, -1):
                await self.redis.zadd(key, {note: ago})

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
                watch = Watch(someone, question(), "fast", 4, edge, insists=False)
                if (end := (await watch.run(10)).end) is None or end.name != "completed":
                    return False
            return True

        await eventually(answered, 30)


def _own_backend(fake: str, name: str, slots: int = SLOTS) -> dict[str, str]:
    return _alone([{"name": name, "kind": "ollama", "url": fake, "slots": slots}])


def _alone(backends: Sequence[Mapping[str, object]]) -> dict[str, str]:
    """A worker's settings by which it has these back-ends and no other: the catalog's is in the registry, so that every worker would
    have it, but what is configured goes before that, and this says that it is of another pool."""
    catalogs = {"name": "fake", "kind": "ollama", "url": "http://nowhere.invalid", "pool": "nobodys"}
    return {"OLLAMANET_BACKENDS": json.dumps([*backends, catalogs])}


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
