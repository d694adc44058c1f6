"""The keys that other programs may rely on: names, slots, lifetimes."""

import re
from hashlib import sha256

import pytest
import redis.asyncio

from contracts.ports.lines import PoolLane
from contracts.ports.streams import Created, IdempotencyKey
from infra.redis.streams import RedisGenerationStreams
from tests.contract.ports.streams.story import cancelled, closed, soon, told
from tests.factories import completed, question

MINUTE = 60 * 1000
DAY = 24 * 60 * MINUTE
KEY = IdempotencyKey("retry-1", "ab" * 32)
NAME = sha256(b"retry-1").hexdigest()


async def test_every_key_has_its_name_and_an_end(admin: redis.asyncio.Redis, streams: RedisGenerationStreams) -> None:
    asked = question()
    await streams.admit(asked, explicit_parent=False, deadline=soon(), key=KEY)
    await streams.create(asked, starts_before=soon(), deadline=soon(), lane=PoolLane("gpu", "bulk"))
    await streams.beat("gpu", "worker-1", 4)
    await streams.served("gpu", "small", 1000)
    left = {key.decode(): await admin.pttl(key) for key in await admin.keys("*")}
    (sweep,) = [key for key in left if re.fullmatch(r"sweep:([0-9]|1[0-5])", key)]
    ends = {
        f"{{g:{asked.generation_id}}}": 75 * MINUTE, f"{{g:{asked.generation_id}}}:s": 75 * MINUTE,
        f"{{u:{asked.owner}}}:open": 75 * MINUTE, f"{{u:{asked.owner}}}:live": 75 * MINUTE,
        f"{{u:{asked.owner}}}:idem:{NAME}": DAY, sweep: 8 * DAY,
        "q:gpu:bulk": 25 * MINUTE, "workers:gpu": 10_000, "service:gpu": 7 * DAY,
    }  # fmt: skip
    assert set(left) == set(ends)
    assert all(ends[key] - 9_000 < one <= ends[key] for key, one in left.items())


async def test_a_key_tells_the_hash_of_its_body_and_its_generation(
    admin: redis.asyncio.Redis, streams: RedisGenerationStreams
) -> None:
    asked = question()
    await streams.admit(asked, explicit_parent=False, deadline=soon(), key=KEY)
    name = f"{{u:{asked.owner}}}:idem:{NAME}"
    assert await admin.get(name) == f"{KEY.sha} {asked.generation_id}".encode()
    await admin.pexpire(name, 1000 * MINUTE)
    await streams.admit(question(owner=asked.owner), explicit_parent=False, deadline=soon(), key=KEY)
    assert await admin.pttl(name) <= 1000 * MINUTE, "a repeat keeps it no longer"


async def test_the_hash_of_a_generation_knows_its_line_and_its_first_epoch(
    admin: redis.asyncio.Redis, streams: RedisGenerationStreams
) -> None:
    asked, other = question(), question()
    made = await streams.create(asked, starts_before=soon(), deadline=soon(), lane=PoolLane("gpu", "batch"))
    await streams.create(other, starts_before=soon(), deadline=soon())
    assert isinstance(made, Created)
    await streams.claim(asked.generation_id, "worker-1")
    fields = await admin.hmget(f"{{g:{asked.generation_id}}}", "lane", "born")
    assert fields == [b"gpu:batch", str(made.epoch).encode()]
    assert await admin.hget(f"{{g:{other.generation_id}}}", "lane") == b""


async def test_who_waits_is_sorted_by_redis_own_time(
    admin: redis.asyncio.Redis, streams: RedisGenerationStreams
) -> None:
    asked = question()
    made = await streams.create(asked, starts_before=soon(), deadline=soon(), lane=PoolLane("gpu", "bulk"))
    assert isinstance(made, Created)
    assert await admin.zscore("q:gpu:bulk", asked.generation_id) == made.epoch // 1024


@pytest.mark.parametrize("how", ["abort", "cancel"])
async def test_a_repeat_takes_it_out_of_the_line_where_the_first_time_was_lost(
    admin: redis.asyncio.Redis, streams: RedisGenerationStreams, how: str
) -> None:
    asked = question()
    await streams.create(asked, starts_before=soon(), deadline=soon(), lane=PoolLane("gpu", "bulk"))
    for _ in range(2):
        await admin.zadd("q:gpu:bulk", {asked.generation_id: 1})
        if how == "abort":
            await streams.abort(asked.generation_id)
        else:
            await streams.cancel(asked.owner, asked.generation_id, cancelled(asked))
        assert await streams.open(asked.owner) == []  # on the same connection, so after it
        assert await admin.zcard("q:gpu:bulk") == 0


async def test_a_pool_without_workers_has_no_key(admin: redis.asyncio.Redis, streams: RedisGenerationStreams) -> None:
    for slots in (4, 0, 0):
        await streams.beat("gpu", "worker-1", slots)
        assert await admin.zrange("workers:gpu", 0, -1) == [b"4 worker-1"] * (slots > 0)
    assert await admin.exists("workers:gpu") == 0


async def test_notes_of_the_sweep_are_spread(admin: redis.asyncio.Redis, streams: RedisGenerationStreams) -> None:
    asked = [question() for _ in range(400)]
    for one in asked:
        await streams.admit(one, explicit_parent=False, deadline=soon())
    sweeps = await admin.keys("sweep:*")
    assert len(sweeps) == 16
    notes = [note for key in sweeps for note in await admin.zrange(key, 0, -1)]
    assert sorted(notes) == sorted(f"{one.owner}:{one.generation_id}".encode() for one in asked)


async def test_a_persons_entries_live_as_long_as_the_last_of_them(
    admin: redis.asyncio.Redis, streams: RedisGenerationStreams
) -> None:
    first = question()
    for minutes in (30, 15):
        asked = question(owner=first.owner)
        await streams.admit(asked, explicit_parent=False, deadline=soon(minutes))
    for end in ("open", "live"):
        assert 89 * MINUTE < await admin.pttl(f"{{u:{first.owner}}}:{end}") <= 90 * MINUTE


async def test_entries_too_old_are_removed_when_they_are_seen(
    admin: redis.asyncio.Redis, streams: RedisGenerationStreams
) -> None:
    fresh = question()
    await streams.admit(fresh, explicit_parent=False, deadline=soon())
    old = question(owner=fresh.owner)
    await streams.admit(old, explicit_parent=False, deadline=soon(-61))
    assert len(await admin.hkeys(f"{{u:{old.owner}}}:open")) == 2
    assert [one.generation_id for one in await streams.open(old.owner)] == [fresh.generation_id]
    assert await admin.hkeys(f"{{u:{old.owner}}}:open") == [fresh.generation_id.encode()]
    await streams.admit(question(owner=old.owner), explicit_parent=False, deadline=soon())
    assert len(await admin.hkeys(f"{{u:{old.owner}}}:open")) == await admin.zcard(f"{{u:{old.owner}}}:live") == 2


async def test_admitting_removes_entries_too_old(admin: redis.asyncio.Redis, streams: RedisGenerationStreams) -> None:
    old = question()
    await streams.admit(old, explicit_parent=False, deadline=soon(-61))
    fresh = question(owner=old.owner)
    await streams.admit(fresh, explicit_parent=False, deadline=soon())
    assert await admin.hkeys(f"{{u:{old.owner}}}:open") == [fresh.generation_id.encode()]
    assert await admin.zrange(f"{{u:{old.owner}}}:live", 0, -1) == [fresh.generation_id.encode()]


async def test_what_is_over_leaves_nothing_but_the_log(
    admin: redis.asyncio.Redis, streams: RedisGenerationStreams
) -> None:
    it = await closed(streams, "Hi")
    await streams.recorded(it.id, completed(it.question, "Hi"))
    await streams.leave(it.question.owner, it.id)
    await streams.swept(it.question.owner, it.id)
    assert sorted(await admin.keys("*")) == sorted(f"{{g:{it.id}}}{end}".encode() for end in ("", ":s"))


async def test_stream_ids_are_epoch_and_seq(admin: redis.asyncio.Redis, streams: RedisGenerationStreams) -> None:
    it = await told(streams, "Hi")
    entries = await admin.xrange(f"{{g:{it.id}}}:s")
    assert [one[0] for one in entries[1:]] == [f"{it.epoch}-{seq}".encode() for seq in (1, 2)]
    assert [one[1][b"n"] for one in entries] == [b"0", b"0", b"1"]
    log = await admin.hgetall(f"{{g:{it.id}}}")
    assert (log[b"epoch"], log[b"next"], log[b"owner"]) == (str(it.epoch).encode(), b"3", b"worker-1")


async def test_fields_of_a_newer_version_are_left_alone(
    admin: redis.asyncio.Redis, streams: RedisGenerationStreams
) -> None:
    it = await told(streams, "Hi")
    await admin.hset(f"{{g:{it.id}}}", "deaths", "1")
    await streams.recorded(it.id, completed(it.question, "Hi"))
    assert await admin.hget(f"{{g:{it.id}}}", "deaths") == b"1"
