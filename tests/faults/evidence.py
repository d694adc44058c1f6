"""What is known of questions afterwards: the store's replies, the back-end's calls, and what is left in Redis and the broker."""

import asyncio
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import cast

import aio_pika
from pymongo import AsyncMongoClient
from redis.asyncio import Redis

from contracts.topology import DEAD, durable_queues
from tests.e2e.compositions import Platform
from tests.faults.ledger import Account, Allowed
from tests.faults.watching import Watch

RECORDED_WITHIN = 30.0
"""Seconds until everything that was accepted is in the store and nothing of it is anywhere else."""


class Evidence:
    """Of one platform. `close` ends its connection to the store."""

    def __init__(self, platform: Platform, redis: Redis) -> None:
        self.logs: list[Callable[[], list[dict[str, object]]]] = [platform.calls]
        """Of back-ends: every call that each had."""
        self._redis = redis
        self._broker = platform.environment["OLLAMANET_RABBITMQ_URL"]
        self._mongo: AsyncMongoClient[dict[str, object]] = AsyncMongoClient(platform.environment["OLLAMANET_MONGO_URL"])
        self._database = self._mongo.get_default_database("ollamanet")
        self._told: set[str] = set()

    async def close(self) -> None:
        await self._mongo.close()

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
        for call in [call for log in self.logs for call in await asyncio.to_thread(log)]:
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
        async for key in self._redis.scan_iter(match="{u:*}:open", count=1000):
            found += [f"entry {one.decode()} of {key.decode()}" for one in await self._redis.hkeys(key)]
        async for key in self._redis.scan_iter(match="{u:*}:live", count=1000):
            found += [f"slot {one.decode()} of {key.decode()}" for one in await self._redis.zrange(key, 0, -1)]
        async for key in self._redis.scan_iter(match="sweep:*", count=1000):
            found += [f"note {one.decode()} in {key.decode()}" for one in await self._redis.zrange(key, 0, -1)]
        async for key in self._redis.scan_iter(match="q:*", count=1000):
            found += [f"place of {one.decode()} in {key.decode()}" for one in await self._redis.zrange(key, 0, -1)]
        found += [f"messages: {number} in {queue}" for queue, number in (await self.messages()).items() if number]
        return [one for one in found if one not in self._told]

    async def messages(self) -> dict[str, int]:
        """How many messages are ready in each queue of ours."""
        connection = await aio_pika.connect(self._broker)
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
        return waiting + await self._database["dead_letters"].count_documents({})

    @property
    def _messages(self):
        return self._database["messages"]
