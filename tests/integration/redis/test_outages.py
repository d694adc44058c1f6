"""Redis stops, dies, freezes, loses replies, fills up: calls say Unavailable, and nothing is lost or written twice."""

import asyncio
import signal
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path

import pytest
import redis.asyncio
import uvloop

from contracts.errors import Unavailable
from contracts.ports.streams import Answer, Appended, Gap, GenerationStreams, Run
from infra.redis.limits import RedisRateLimits
from infra.redis.streams import RedisGenerationStreams
from tests.contract.ports.streams.story import Told, claimed, end, followed, stands, text_of, tokens, told
from tests.eventually import eventually
from tests.factories import completed
from tests.integration.redis.proxy import Proxy
from tests.servers.redis import RedisServer
from tests.servers.shared import free_port


async def insist(call: Callable[[], Awaitable[object]]) -> object:
    """As workers do: the same call until it answers."""

    async def answered() -> object:
        try:
            return await call()
        except Unavailable:
            return None

    return await eventually(answered, seconds=20)


async def write_through(streams: GenerationStreams, it: Told, texts: list[str], disturb: Callable[[int], None]) -> Told:
    """One token an append, each repeated until it is acknowledged; `disturb(n)` is called before the n-th.

    A killed Redis may have acknowledged what its slow disk never got: then again from there, as workers do.
    """
    for number in range(len(texts)):
        disturb(number)
        at = number
        while at <= number:
            seq, text = it.next + at, texts[at]
            answer = await insist(lambda seq=seq, text=text: streams.append(it.id, it.epoch, seq, tokens(text)))
            if isinstance(answer, Gap) and it.next <= answer.next < seq:
                at = answer.next - it.next
                continue
            assert answer == Appended(seq + 1, cancel=False)
            at += 1
    return Told(it.question, it.epoch, it.next + len(texts))


async def write_over_a_restart(server: RedisServer, restart: Callable[[], None]) -> None:
    """60 tokens, Redis restarted in the middle, somebody following."""
    async with RedisGenerationStreams(server.url) as streams:
        it = await told(streams)
        reader = asyncio.create_task(followed(streams, it.id))
        texts = [f"{number} " for number in range(60)]
        restarts: list[asyncio.Future[None]] = []

        def disturb(number: int) -> None:
            if number == 30:
                restarts.append(asyncio.get_running_loop().run_in_executor(None, restart))

        it = await write_through(streams, it, texts, disturb)
        await asyncio.gather(*restarts)
        await insist(lambda: streams.seal(it.id, it.epoch, it.next, completed(it.question, "".join(texts))))
        await insist(lambda: streams.close(it.id, it.epoch))
        assert text_of(await asyncio.wait_for(reader, 20)) == "".join(texts)


@pytest.mark.parametrize("ending", ["stop", "kill"])
async def test_a_restart_under_a_writer_and_a_follower_loses_nothing(server: RedisServer, ending: str) -> None:
    await write_over_a_restart(server, lambda: (getattr(server, ending)(), server.start())[1])


def test_on_the_loop_that_processes_run_on_nothing_is_lost_either(server: RedisServer) -> None:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(write_over_a_restart(server, lambda: (server.kill(), server.start())[1]))


async def test_what_is_said_while_a_follower_is_cut_off_reaches_it_when_it_is_back(
    proxy: Proxy, streams: RedisGenerationStreams
) -> None:
    it = await told(streams)
    async with RedisGenerationStreams(proxy.url, look=60) as edge:  # so only coming back can tell it in time
        reader = asyncio.create_task(followed(edge, it.id))
        await eventually(lambda: _follows(streams, it.id))
        proxy.shut = True
        proxy.cut()
        await eventually(lambda: edge.subscriptions.age == 0)
        await streams.append(it.id, it.epoch, it.next, tokens("while away"))
        await end(streams, Told(it.question, it.epoch, it.next + 1))  # no later message will show a gap
        proxy.shut = False
        assert text_of(await asyncio.wait_for(reader, 10)) == "while away"


async def _follows(streams: RedisGenerationStreams, generation_id: str) -> bool:
    return bool((await streams.connection.call("PUBSUB", "NUMSUB", f"{{g:{generation_id}}}:p"))[1])


async def test_a_lost_reply_is_told_and_the_repeat_adds_nothing(proxy: Proxy) -> None:
    async with RedisGenerationStreams(proxy.url) as streams:
        it = await told(streams)
        proxy.lose_reply = True
        with pytest.raises(Unavailable):
            await streams.append(it.id, it.epoch, it.next, tokens("once"))
        answer = await insist(lambda: streams.append(it.id, it.epoch, it.next, tokens("once")))
        assert answer == Appended(it.next + 1, cancel=False)
        assert (await stands(streams, it.id)).text == "once"


async def test_every_writing_call_may_lose_its_reply_and_be_repeated(proxy: Proxy) -> None:
    async with RedisGenerationStreams(proxy.url) as streams:
        it = await told(streams, "Hi")
        outcome = completed(it.question, "Hi")
        for call in (
            lambda: streams.claim(it.id, "worker-1"),
            lambda: streams.seal(it.id, None, it.next, outcome),
            lambda: streams.recorded(it.id, outcome),
            lambda: streams.settle(it.question.owner, it.id),
            lambda: streams.drop(it.question.owner, it.id),
        ):
            proxy.lose_reply = True
            with pytest.raises(Unavailable):
                await call()
            await _back(streams)
            await call()
        assert text_of(await followed(streams, it.id)) == "Hi"
        assert await streams.open(it.question.owner) == []


async def _back(streams: RedisGenerationStreams) -> None:
    await insist(lambda: streams.connection.call("PING"))


async def test_a_run_that_lost_the_answer_of_its_claim_claims_over(proxy: Proxy) -> None:
    async with RedisGenerationStreams(proxy.url) as streams:
        it = await told(streams, "Hi")
        await streams.release(it.id, it.epoch)
        proxy.lose_reply = True
        with pytest.raises(Unavailable):
            await streams.claim(it.id, "worker-2")
        run = await insist(lambda: streams.claim(it.id, "worker-2"))
        assert isinstance(run, Run)
        assert run.attempt == 3


async def test_a_frozen_redis_is_unavailable_after_five_seconds_and_comes_back(
    server: RedisServer, streams: RedisGenerationStreams
) -> None:
    it = await told(streams)
    server.send(signal.SIGSTOP)
    began = time.monotonic()
    calls = [asyncio.create_task(streams.renew(it.id, it.epoch)) for _ in range(20)]
    results = await asyncio.gather(*calls, return_exceptions=True)
    assert all(isinstance(one, Unavailable) for one in results)
    assert 4.5 < time.monotonic() - began < 6.5
    with pytest.raises(Unavailable):  # and says so at once while it tries to come back, or within the same bound
        await asyncio.wait_for(streams.renew(it.id, it.epoch), 6)
    server.send(signal.SIGCONT)
    assert isinstance(await insist(lambda: streams.append(it.id, it.epoch, it.next, tokens("on"))), Appended)


async def test_without_redis_calls_fail_at_once(server: RedisServer, streams: RedisGenerationStreams) -> None:
    server.kill()
    with pytest.raises(Unavailable):
        await streams.confirm("any")
    began = time.monotonic()
    for _ in range(100):
        with pytest.raises(Unavailable, match=r"cannot be reached|closed|broke"):
            await streams.confirm("any")
    assert time.monotonic() - began < 2


async def test_entering_without_redis_says_where_it_was_sought() -> None:
    port = free_port()
    with pytest.raises(Unavailable, match=f"127.0.0.1:{port} cannot be reached"):
        await RedisGenerationStreams(f"redis://:secret@127.0.0.1:{port}/3").__aenter__()


async def test_a_full_redis_is_unavailable_and_the_log_stays_whole(
    server: RedisServer, admin: redis.asyncio.Redis, streams: RedisGenerationStreams
) -> None:
    it = await told(streams, "Hi")
    before = await stands(streams, it.id)
    await admin.config_set("maxmemory", 1)
    with pytest.raises(Unavailable, match="no memory left"):
        await streams.append(it.id, it.epoch, it.next, tokens("more"))
    assert await stands(streams, it.id) == before
    assert text_of((await anext(aiter(streams.follow(it.id)))).events) == "Hi"  # what is there can be read
    await admin.config_set("maxmemory", 0)
    assert isinstance(await streams.append(it.id, it.epoch, it.next, tokens("more")), Appended)


async def test_a_read_only_redis_is_unavailable(admin: redis.asyncio.Redis, streams: RedisGenerationStreams) -> None:
    it = await told(streams, "Hi")
    await admin.execute_command("REPLICAOF", "127.0.0.1", free_port())
    with pytest.raises(Unavailable, match="read-only replica"):
        await streams.append(it.id, it.epoch, it.next, tokens("more"))
    await admin.execute_command("REPLICAOF", "NO", "ONE")
    assert isinstance(await streams.append(it.id, it.epoch, it.next, tokens("more")), Appended)


async def test_a_redis_busy_with_a_script_is_unavailable(
    server: RedisServer, admin: redis.asyncio.Redis, streams: RedisGenerationStreams
) -> None:
    it = await told(streams, "Hi")
    await admin.config_set("busy-reply-threshold", 50)
    async with redis.asyncio.Redis.from_url(server.url, socket_timeout=None) as other:
        endless = asyncio.create_task(other.eval("while true do end", 0))

        async def busy() -> bool:
            try:
                await streams.renew(it.id, it.epoch)
            except Unavailable as error:
                return "busy with a script" in str(error)
            return False

        await eventually(busy)
        await admin.script_kill()
        await asyncio.gather(endless, return_exceptions=True)
    assert isinstance(await streams.append(it.id, it.epoch, it.next, tokens("on")), Appended)


async def test_a_redis_that_still_loads_is_unavailable_until_it_is_ready(
    server: RedisServer, admin: redis.asyncio.Redis, streams: RedisGenerationStreams
) -> None:
    it = await told(streams, "Hi")
    await admin.config_set("key-load-delay", 300)
    await admin.eval("for i = 1, 3000 do redis.call('SET', 'k' .. i, i) end", 0)
    server.stop()
    server.start("--key-load-delay", "300", "--loading-process-events-interval-bytes", "1024")
    sentences: set[str] = set()

    async def answered() -> bool:
        try:
            return (await stands(streams, it.id)).text == "Hi"
        except Unavailable as error:
            sentences.add(str(error))
            return False

    assert await eventually(answered, seconds=20)
    assert "Redis is still reading its data." in sentences


async def test_scripts_that_redis_forgot_are_loaded_again(
    admin: redis.asyncio.Redis, streams: RedisGenerationStreams
) -> None:
    it = await told(streams, "Hi")
    await admin.script_flush()
    answers = await asyncio.gather(
        *(streams.append(it.id, it.epoch, it.next, tokens("!")) for _ in range(10)), streams.confirm(it.id)
    )
    assert answers == [Appended(it.next + 1, cancel=False)] * 10 + [Answer.OK]


async def test_a_password_and_an_account_open_the_door(server: RedisServer, admin: redis.asyncio.Redis) -> None:
    await admin.acl_setuser(
        "ann", enabled=True, passwords=["+s3cr/t@:"], categories=["+@all"], keys=["*"], channels=["*"]
    )
    url = f"redis://ann:s3cr%2Ft%40%3A@127.0.0.1:{server.port}/5"
    async with RedisGenerationStreams(url) as streams:
        it = await told(streams, "Hi")
        await end(streams, it)
        assert text_of(await followed(streams, it.id)) == "Hi"
    async with redis.asyncio.Redis.from_url(url) as other:
        assert await other.exists(f"{{g:{it.id}}}") == 1


async def test_a_wrong_password_is_said_without_the_password(server: RedisServer, admin: redis.asyncio.Redis) -> None:
    await admin.config_set("requirepass", "right")
    for url, sentence in (
        (f"redis://:wrong@127.0.0.1:{server.port}/0", "refuses the password"),
        (server.url, "wants a password"),
    ):
        with pytest.raises(Unavailable, match=sentence) as caught:
            await RedisGenerationStreams(url).__aenter__()
        assert "wrong" not in str(caught.value)


async def test_something_else_on_the_port_is_unavailable() -> None:
    async def greet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        await reader.read()
        writer.close()

    async with await asyncio.start_server(greet, "127.0.0.1", 0) as other:
        port = other.sockets[0].getsockname()[1]
        with pytest.raises(Unavailable, match="not Redis"):
            await RedisGenerationStreams(f"redis://127.0.0.1:{port}").__aenter__()


async def test_a_server_that_hangs_up_after_the_greeting_is_tried_again() -> None:
    greeted = 0

    async def greet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal greeted
        greeted += 1
        await reader.read(65536)
        writer.write(b"+OK\r\n")
        await reader.read(65536)
        writer.write(b"$1\r\nx\r\n")
        writer.close()

    async with await asyncio.start_server(greet, "127.0.0.1", 0) as other:
        url = f"redis://127.0.0.1:{other.sockets[0].getsockname()[1]}"

        async def tried_often() -> bool:
            with suppress(Unavailable):
                async with RedisRateLimits(url) as limits:
                    with pytest.raises(Unavailable):
                        await limits.take("key", 1, 1)
                    before = greeted
                    await eventually(lambda: greeted > before)
            return greeted > 5

        assert await eventually(tried_often)


async def test_a_redis_that_forgets_is_named_by_the_check(
    admin: redis.asyncio.Redis, streams: RedisGenerationStreams
) -> None:
    await streams.check()
    await admin.config_set("maxmemory-policy", "allkeys-lru")
    with pytest.raises(Unavailable, match="noeviction"):
        await streams.check()
    await admin.config_set("appendonly", "no")
    with pytest.raises(Unavailable, match=r"appendonly yes.*noeviction"):
        await streams.check()


async def test_a_redis_that_is_gone_fails_the_check(server: RedisServer, streams: RedisGenerationStreams) -> None:
    server.kill()
    with pytest.raises(Unavailable):
        await streams.check()


async def test_a_claim_is_possible_again_after_a_restart(server: RedisServer, streams: RedisGenerationStreams) -> None:
    it = await told(streams, "Hi")
    await asyncio.to_thread(server.restart)
    await _back(streams)
    assert (await claimed(streams, it.question)).attempt == 2


async def _connects(path: Path) -> bool:
    with suppress(OSError):
        _, writer = await asyncio.open_unix_connection(str(path))
        writer.close()
        return True
    return False


async def test_a_unix_socket_works_too(tmp_path: Path) -> None:
    server = RedisServer(tmp_path / "redis")
    path = tmp_path / "s"
    server.start("--unixsocket", str(path))
    try:
        await eventually(lambda: _connects(path))  # it opens its port first
        async with RedisGenerationStreams(f"unix://{path}?db=3") as streams:
            await end(streams, await told(streams, "Hi"))
    finally:
        server.kill()
