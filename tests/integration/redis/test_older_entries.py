"""Open entries as an older version wrote them, and as it must still be able to read them: two versions run side by side."""

import re

import pytest
import redis.asyncio

from contracts.commands import Question
from contracts.ports.streams import Admitted, IdempotencyKey, Limited, ReplyOpen, Same
from infra.redis.streams import RedisGenerationStreams
from tests.contract.ports.streams.story import soon
from tests.factories import question

KEY = IdempotencyKey("retry-1", "ab" * 32)
OLD = re.compile(rb"^\S+ (\S+) (\S+) (\S+)\n")
"""What an older `admit` looks at."""


async def entered(admin: redis.asyncio.Redis, asked: Question, more: str = "") -> None:
    """Admitted by an older edge."""
    ends = int(soon().timestamp() * 1000)
    head = f"{ends} {asked.chat_id} {asked.message_id} {asked.reply_id}{more}"
    await admin.hset(f"{{u:{asked.owner}}}:open", asked.generation_id, f"{head}\n{asked.model_dump_json()}")
    await admin.zadd(f"{{u:{asked.owner}}}:live", {asked.generation_id: ends})


@pytest.mark.parametrize("more", ["", " -"])
async def test_an_entry_without_a_key_is_open_and_guards_its_branch(
    admin: redis.asyncio.Redis, streams: RedisGenerationStreams, more: str
) -> None:
    old = question()
    await entered(admin, old, more)
    assert await streams.open(old.owner) == [old]
    assert await streams.admit(old, explicit_parent=False, deadline=soon()) == Same(old.generation_id)
    second = question(owner=old.owner, chat_id=old.chat_id, parent_id=old.reply_id)
    for explicit in (False, True):
        answer = await streams.admit(second, explicit_parent=explicit, deadline=soon())
        assert answer == ReplyOpen(old.generation_id)
    other = question(owner=old.owner)
    assert isinstance(await streams.admit(other, explicit_parent=False, deadline=soon(), cap=1), Limited)


@pytest.mark.parametrize("more", ["", " -"])
async def test_an_entry_without_a_key_is_dropped_alone(
    admin: redis.asyncio.Redis, streams: RedisGenerationStreams, more: str
) -> None:
    old = question()
    await entered(admin, old, more)
    fresh = question(owner=old.owner)
    assert await streams.admit(fresh, explicit_parent=False, deadline=soon(), key=KEY) == Admitted("interactive")
    await streams.drop(old.owner, old.generation_id)
    assert await streams.open(old.owner) == [fresh]
    assert await streams.repeated(old.owner, KEY) == Same(fresh.generation_id)


async def test_an_older_version_reads_what_was_admitted_without_a_key(
    admin: redis.asyncio.Redis, streams: RedisGenerationStreams
) -> None:
    asked = question()
    await streams.admit(asked, explicit_parent=False, deadline=soon())
    entry = await admin.hget(f"{{u:{asked.owner}}}:open", asked.generation_id)
    assert isinstance(entry, bytes)
    looked = OLD.match(entry)
    assert looked is not None
    assert looked.groups() == tuple(one.encode() for one in (asked.chat_id, asked.message_id, asked.reply_id))
