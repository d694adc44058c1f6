"""Who is there: control subscriptions, processes that die, looks that are not allowed."""

import asyncio
import os
import signal
import sys
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import redis.asyncio

from contracts.errors import Unavailable
from contracts.ports.streams import Held, Run
from infra.redis.streams import RedisGenerationStreams
from tests.contract.ports.streams.story import accepted, cancelled, claimed, stands, told
from tests.eventually import eventually
from tests.integration.redis.proxy import Proxy
from tests.servers.redis import RedisServer
from tests.servers.shared import free_port

ROOT = Path(__file__).parents[3]


@asynccontextmanager
async def doomed(url: str, generation_id: str) -> AsyncGenerator[asyncio.subprocess.Process, None]:
    """A process that holds the generation."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, str(Path(__file__).with_name("subscriber.py")), url, generation_id,
        stdout=asyncio.subprocess.PIPE, env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    try:
        assert process.stdout is not None
        assert await asyncio.wait_for(process.stdout.readline(), 20) == b"Run\n"
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def subscribed(admin: redis.asyncio.Redis, worker: str) -> int:
    return (await admin.pubsub_numsub(f"w:{worker}"))[0][1]


async def test_a_killed_worker_is_gone_at_once_and_its_generation_taken_over(
    server: RedisServer, admin: redis.asyncio.Redis, streams: RedisGenerationStreams
) -> None:
    asked = await accepted(streams)
    async with doomed(server.url, asked.generation_id) as process:
        held = await streams.claim(asked.generation_id, "heir")
        assert isinstance(held, Held)
        assert (held.owner, await subscribed(admin, "doomed")) == ("doomed", 1)
        process.send_signal(signal.SIGKILL)
        began = time.monotonic()

        async def taken() -> Run | None:
            answer = await streams.claim(asked.generation_id, "heir")
            return answer if isinstance(answer, Run) else None

        run = await eventually(taken, seconds=5)
        assert time.monotonic() - began < 2  # the lease would have held for ten
        assert (run.attempt, await subscribed(admin, "doomed")) == (2, 0)


async def test_a_frozen_worker_looks_alive_until_its_lease_ends(
    server: RedisServer, admin: redis.asyncio.Redis, streams: RedisGenerationStreams
) -> None:
    asked = await accepted(streams)
    async with doomed(server.url, asked.generation_id) as process:
        process.send_signal(signal.SIGSTOP)
        assert isinstance(await streams.claim(asked.generation_id, "heir"), Held)
        assert await subscribed(admin, "doomed") == 1


async def test_whose_own_connections_are_young_takes_nobody_for_gone(
    server: RedisServer, streams: RedisGenerationStreams
) -> None:
    it = await told(streams, "Hi", worker="not subscribed")
    async with RedisGenerationStreams(server.url) as young:
        assert isinstance(await young.claim(it.id, "heir"), Held)
    assert isinstance(await streams.claim(it.id, "heir"), Run)


@pytest.mark.parametrize("which", ["connection", "subscriptions"])
async def test_a_connection_that_came_back_is_young_again(
    server: RedisServer, admin: redis.asyncio.Redis, which: str
) -> None:
    async with RedisGenerationStreams(server.url, settled=0.5) as streams:
        it = await told(streams, "Hi", worker="not subscribed")
        await eventually(lambda: min(streams.connection.age, streams.subscriptions.age) > 0.5)
        kind = "normal" if which == "connection" else "pubsub"
        if kind == "pubsub":
            async with streams.control("listening"):
                await _kill(admin, "pubsub")
        else:
            await _kill(admin, "normal")
        await eventually(lambda: 0 < getattr(streams, which).age < 0.5)
        assert isinstance(await streams.claim(it.id, "heir"), Held)
        await eventually(lambda: getattr(streams, which).age > 0.5)
        assert isinstance(await streams.claim(it.id, "heir"), Run)


async def _kill(admin: redis.asyncio.Redis, kind: str) -> None:
    await admin.client_kill_filter(_type=kind, skipme=True)


async def test_in_a_cluster_nobody_is_taken_for_gone(tmp_path: Path) -> None:
    node = RedisServer(tmp_path / "redis")
    node.start("--cluster-enabled", "yes", "--cluster-port", str(free_port()), "--databases", "1")
    try:
        async with (
            redis.asyncio.Redis.from_url(node.url) as admin,
            RedisGenerationStreams(node.url, settled=0) as streams,
        ):
            await admin.execute_command("CLUSTER", "ADDSLOTSRANGE", 0, 16383)
            await eventually(lambda: _assembled(admin))
            it = await told(streams, "Hi", worker="not subscribed")
            assert isinstance(await streams.claim(it.id, "heir"), Held)
            assert (await stands(streams, it.id)).text == "Hi"
    finally:
        node.kill()


async def _assembled(admin: redis.asyncio.Redis) -> bool:
    return b"cluster_state:ok" in await admin.execute_command("CLUSTER", "INFO", NEVER_DECODE=True)


async def test_a_lost_control_channel_is_told_and_can_be_entered_again(
    admin: redis.asyncio.Redis, streams: RedisGenerationStreams
) -> None:
    async with streams.control("worker-1") as words:
        assert await subscribed(admin, "worker-1") == 1
        await _kill(admin, "pubsub")
        with pytest.raises(Unavailable, match="control channel is lost"):
            await anext(words)
    await eventually(lambda: streams.subscriptions.age > 0)
    assert await subscribed(admin, "worker-1") == 0
    async with streams.control("worker-1") as words:
        it = await told(streams, worker="worker-1")
        await streams.cancel(it.question.owner, it.id, cancelled(it.question))
        assert (await anext(words)).epoch == it.epoch


async def test_leaving_the_control_channel_is_known_when_it_is_left(
    admin: redis.asyncio.Redis, streams: RedisGenerationStreams
) -> None:
    for _ in range(20):
        async with streams.control("worker-1"):
            assert await subscribed(admin, "worker-1") == 1
        assert await subscribed(admin, "worker-1") == 0


async def test_a_control_channel_that_is_joined_and_left_in_a_hurry_is_left(
    admin: redis.asyncio.Redis, streams: RedisGenerationStreams
) -> None:
    async def visit() -> None:
        async with streams.control("worker-1"):
            await asyncio.sleep(0)

    visits = [asyncio.create_task(visit()) for _ in range(20)]
    await asyncio.sleep(0)
    for one in visits[::2]:
        one.cancel()
    await asyncio.gather(*visits, return_exceptions=True)
    await streams.check()
    assert await subscribed(admin, "worker-1") == 0


async def test_a_connection_that_leads_nowhere_is_lost_within_seconds(proxy: Proxy) -> None:
    async with RedisGenerationStreams(proxy.url) as streams, streams.control("worker-1") as words:
        proxy.frozen.set()
        with pytest.raises(Unavailable):
            await asyncio.wait_for(anext(words), 10)
        proxy.frozen.clear()


async def test_without_redis_the_control_channel_is_unavailable(
    server: RedisServer, streams: RedisGenerationStreams
) -> None:
    async with streams.control("worker-1") as words:
        server.kill()
        with pytest.raises(Unavailable):
            await anext(words)
    with pytest.raises(Unavailable):
        await streams.control("worker-1").__aenter__()
    await asyncio.to_thread(server.start)
    await eventually(lambda: streams.connection.age > 0 and streams.subscriptions.age > 0)
    run = await claimed(streams, await accepted(streams))
    assert run.attempt == 1
