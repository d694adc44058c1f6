"""A Redis that comes back without its last writes: the file that it reads at start ends earlier."""

import asyncio
import random
from pathlib import Path

import pytest
import redis.asyncio
import redis.exceptions

from contracts.errors import Unavailable
from contracts.generation import name_of
from contracts.ports.streams import Appended, Gap, GenerationStreams, Run
from infra.redis.streams import RedisGenerationStreams
from tests.contract.ports.streams.story import (
    Told,
    claimed,
    end,
    followed,
    restarted,
    seqs_of,
    stands,
    started,
    text_of,
    tokens,
    told,
)
from tests.eventually import eventually
from tests.factories import completed
from tests.servers.redis import RedisServer


@pytest.fixture(autouse=True)
async def writing_at_once(admin: redis.asyncio.Redis) -> None:
    """What was answered is in the file: with fsync in the background Redis lets a write wait for it."""
    await admin.config_set("appendfsync", "no")


def cut(tmp_path: Path, size: int) -> None:
    """Leave the first `size` bytes of what the server, stopped now, has written down."""
    (written,) = (tmp_path / "redis" / "appendonlydir").glob("*.incr.aof")
    with written.open("r+b") as file:
        file.truncate(size)


def size_of(tmp_path: Path) -> int:
    (written,) = (tmp_path / "redis" / "appendonlydir").glob("*.incr.aof")
    return written.stat().st_size


async def started_again(server: RedisServer) -> None:
    """It answers, and has read what it wrote down."""
    await asyncio.to_thread(server.start)
    async with redis.asyncio.Redis.from_url(server.url) as admin:
        await eventually(lambda: _answers(admin))


async def _answers(admin: redis.asyncio.Redis) -> bool:
    try:
        return bool(await admin.ping())
    except redis.exceptions.BusyLoadingError:
        return False


async def write_some(streams: GenerationStreams, number: int) -> None:
    """Every kind of call that writes both the hash and the events."""
    it = await told(streams, "a", "b", worker=f"one-{number}")
    for place in range(5):
        await streams.append(it.id, it.epoch, it.next + place, tokens(f"{place} "))
    run = await claimed(streams, it.question, f"two-{number}")
    await streams.append(it.id, run.epoch, run.next, [restarted(), started(2), *tokens("c", "d", "e")])
    if number % 2:
        await streams.recorded(it.id, completed(it.question, "another text"))
    else:
        await end(streams, Told(it.question, run.epoch, run.next + 5))


async def test_wherever_the_file_ends_a_logs_hash_and_its_events_agree(server: RedisServer, tmp_path: Path) -> None:
    async with RedisGenerationStreams(server.url, settled=0) as streams:
        for number in range(4):
            await write_some(streams, number)
    chance, seen = random.Random(4), 0
    while (size := size_of(tmp_path)) > 4000:
        server.kill()
        cut(tmp_path, size - chance.randrange(1, 4000))
        await started_again(server)
        async with redis.asyncio.Redis.from_url(server.url) as admin:
            for key in await admin.keys("{g:*}"):
                log, events = await admin.hgetall(key), await admin.xrange(key + b":s")
                assert [int(one.split(b"-")[1]) for one, _ in events] == list(range(int(log[b"next"])))
                assert log[b"last_id"] == events[-1][0]
                seen += 1
    assert seen > 10


async def test_a_worker_writes_again_what_was_lost_and_its_follower_ends_with_the_whole_text(
    server: RedisServer, tmp_path: Path
) -> None:
    async with RedisGenerationStreams(server.url, look=0.2) as streams:
        it = await told(streams)
        reader = asyncio.create_task(followed(streams, it.id))
        texts = [f"{number} " for number in range(40)]
        sizes: list[int] = []
        for place, text in enumerate(texts[:30]):
            sizes.append(size_of(tmp_path))
            await streams.append(it.id, it.epoch, it.next + place, tokens(text))
        server.kill()
        cut(tmp_path, sizes[20] + 10)  # in the middle of an append
        await started_again(server)

        answer = await eventually(lambda: _appended(streams, it, 30, texts[30:]))
        assert isinstance(answer, Gap)
        place = answer.next - it.next
        assert 0 < place <= 20
        assert await _appended(streams, it, place, texts[place:]) == Appended(it.next + 40, cancel=False)
        await end(streams, Told(it.question, it.epoch, it.next + 40))
        events = await asyncio.wait_for(reader, 10)
        assert text_of(events) == "".join(texts)
        assert len({one.encoded for one in events if one.id == f"{it.epoch}-{it.next + 25}"}) == 1


async def _appended(streams: GenerationStreams, it: Told, place: int, texts: list[str]) -> object:
    try:
        return await streams.append(it.id, it.epoch, it.next + place, tokens(*texts))
    except Unavailable:
        return None


async def test_a_follower_that_saw_what_was_lost_and_is_not_written_again_is_told_so(
    server: RedisServer, tmp_path: Path
) -> None:
    async with RedisGenerationStreams(server.url, look=0.2, settled=0) as streams:
        it = await told(streams, "a")
        seen: list[str] = []
        reader = asyncio.create_task(_follow(streams, it, seen))
        kept = size_of(tmp_path)
        await streams.append(it.id, it.epoch, it.next, tokens("b"))
        await eventually(lambda: seen.count("token") == 2)
        server.kill()
        cut(tmp_path, kept)
        await started_again(server)
        await eventually(lambda: "restarted" in seen)  # before anybody writes anything
        run = await eventually(lambda: _taken(streams, it))
        assert run.next == it.next
        await end(streams, Told(it.question, run.epoch, run.next))
        assert seqs_of((await stands(streams, it.id)).events) == list(range(it.next + 1))
        assert await asyncio.wait_for(reader, 10) == "a"


async def _follow(streams: GenerationStreams, it: Told, seen: list[str]) -> str:
    text: list[str] = []
    async for batch in streams.follow(it.id):
        for event in batch.events:
            seen.append(name_of(event.encoded))
            text = [] if seen[-1] == "restarted" else [*text, text_of([event])]
    return "".join(text)


async def _taken(streams: GenerationStreams, it: Told) -> Run | None:
    try:
        answer = await streams.claim(it.id, "worker-2")
    except Unavailable:
        return None
    return answer if isinstance(answer, Run) else None
