"""The keys that other programs may rely on: names, slots, lifetimes."""

import redis.asyncio

from infra.redis.streams import RedisGenerationStreams
from tests.contract.ports.streams.story import accepted, closed, soon, told
from tests.factories import completed, question

MINUTE = 60 * 1000


async def test_every_key_has_its_name_and_an_end(admin: redis.asyncio.Redis, streams: RedisGenerationStreams) -> None:
    asked = await accepted(streams)
    left = {key.decode(): await admin.pttl(key) for key in await admin.keys("*")}
    assert set(left) == {
        f"{{g:{asked.generation_id}}}", f"{{g:{asked.generation_id}}}:s",
        f"{{u:{asked.owner}}}:open", f"{{u:{asked.owner}}}:live",
    }  # fmt: skip
    assert all(74 * MINUTE < one <= 75 * MINUTE for one in left.values())


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


async def test_what_is_over_leaves_nothing_but_the_log(
    admin: redis.asyncio.Redis, streams: RedisGenerationStreams
) -> None:
    it = await closed(streams, "Hi")
    await streams.recorded(it.id, completed(it.question, "Hi"))
    await streams.drop(it.question.owner, it.id)
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
