"""Vectors on their way while Redis is away."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest
import redis.asyncio

from contracts.embeddings import NotEmbedded, Vectors
from contracts.errors import Unavailable
from contracts.ids import new_id
from infra.redis.embeddings import RedisEmbeddingResults
from infra.redis.keys import embedding_of
from tests.eventually import eventually
from tests.servers.redis import RedisServer

FOUND = Vectors(b"\0\0\x80\x3f" * 4, 2, input_tokens=3)


def soon(seconds: float = 30.0) -> datetime:
    return datetime.now(UTC) + timedelta(seconds=seconds)


async def test_who_waits_gets_what_is_put_after_a_restart(server: RedisServer) -> None:
    async with RedisEmbeddingResults(server.url) as edge, RedisEmbeddingResults(server.url) as worker:
        name = new_id()
        waiting = asyncio.create_task(edge.wait(name, soon()))
        await asyncio.sleep(0.05)
        await asyncio.to_thread(server.restart)

        async def put() -> bool:
            try:
                await worker.put(name, FOUND, soon())
            except Unavailable:
                return False
            return True

        await eventually(put)
        assert await waiting == FOUND


async def test_who_waits_gets_what_was_put_while_its_own_connection_was_away(server: RedisServer) -> None:
    async with RedisEmbeddingResults(server.url) as edge:
        name = new_id()
        waiting = asyncio.create_task(edge.wait(name, soon()))
        await asyncio.sleep(0.05)
        await asyncio.to_thread(server.restart)
        async with RedisEmbeddingResults(server.url) as worker:
            await worker.put(name, FOUND, soon())
        assert await waiting == FOUND


async def test_an_outage_until_the_end_is_told_as_one(server: RedisServer) -> None:
    async with RedisEmbeddingResults(server.url) as edge:
        name = new_id()
        waiting = asyncio.create_task(edge.wait(name, soon(1.0)))
        await asyncio.sleep(0.05)
        server.kill()
        with pytest.raises(Unavailable):
            await waiting
        for call in (edge.put(name, FOUND, soon()), edge.wanted(name), edge.check()):
            with pytest.raises(Unavailable):
                await call


async def test_what_was_fetched_or_given_up_leaves_nothing_behind(
    server: RedisServer, admin: redis.asyncio.Redis
) -> None:
    async with RedisEmbeddingResults(server.url) as results:
        fetched, left = new_id(), new_id()
        await results.put(fetched, FOUND, soon())
        assert 0 < await admin.pttl(embedding_of(fetched)) <= 30_000
        assert await results.wait(fetched, soon()) == FOUND
        waiting = asyncio.create_task(results.wait(left, soon()))
        await asyncio.sleep(0.02)
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)

        async def empty() -> bool:
            values = [await admin.get(embedding_of(one)) for one in (fetched, left)]
            return values == [b"", b""]

        await eventually(empty)
        await results.put(left, NotEmbedded("internal", "Too late.", retryable=True), soon())
        assert await admin.get(embedding_of(left)) == b""
        await eventually(lambda: nobody_listens(admin))
        assert 0 < await admin.pttl(embedding_of(left)) <= 30_000


async def nobody_listens(admin: redis.asyncio.Redis) -> bool:
    return not await admin.pubsub_channels()
