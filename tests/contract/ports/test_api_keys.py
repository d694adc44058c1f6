"""What every `ApiKeys` does. The suite is the port's definition."""

import asyncio
from datetime import datetime, timedelta

import pytest

from contracts.ids import new_id
from contracts.ports.stores import ApiKeys
from contracts.records import ApiKey
from tests.contract.ports.stores import HOSTILE, NOT_TEXT, Stores, given, now

MOST = 50
HOUR = timedelta(hours=1)


@pytest.fixture
def keys(stores: Stores) -> ApiKeys:
    return stores.api_keys


def api_key(owner: str | None = None, **changes: object) -> ApiKey:
    fields = {
        "id": new_id(), "owner": owner or new_id(), "name": "A program", "prefix": "on_12345678", "hash": new_id(),
        "scopes": ("chat", "read"), "created_at": now(),
    }  # fmt: skip
    return ApiKey.model_validate({**fields, **changes})


async def added(keys: ApiKeys, owner: str | None = None, **changes: object) -> ApiKey:
    key = api_key(owner, **changes)
    assert await keys.add(key, MOST) == key
    return key


async def listed(keys: ApiKeys, owner: str) -> list[str]:
    return [one.id for one in (await keys.page(owner, 100, None)).items]


async def last_use(keys: ApiKeys, key: ApiKey) -> datetime | None:
    found = await keys.by_hash(key.hash)
    assert found is not None
    return found.last_used_at


async def test_a_key_is_read_as_it_was_added(keys: ApiKeys) -> None:
    for scopes in (("chat",), ("read",), ("read", "of a newer version"), ()):
        await is_kept(keys, scopes=scopes)
    await is_kept(keys, expires_at=now() + HOUR, last_used_at=now())
    for name in HOSTILE:
        await is_kept(keys, name=name)


async def is_kept(keys: ApiKeys, **changes: object) -> None:
    key = await added(keys, **changes)
    assert await keys.by_hash(key.hash) == key
    assert (await keys.page(key.owner, 10, None)).items == (key,)


async def test_a_hash_that_no_key_has_finds_none(keys: ApiKeys) -> None:
    key = await added(keys)
    for text in (new_id(), key.id, key.prefix, key.hash.upper(), "", *HOSTILE):
        assert await keys.by_hash(text) is None


async def test_an_expired_key_is_found_and_listed_and_lives_no_more(keys: ApiKeys) -> None:
    key = await added(keys, expires_at=now() - HOUR)
    assert await keys.by_hash(key.hash) == key
    assert await listed(keys, key.owner) == [key.id]
    assert await keys.owners([key.id]) == {}


async def test_owners_are_told_of_the_keys_that_live(keys: ApiKeys) -> None:
    mine, lasting, other, revoked = [await added(keys, expires_at=at) for at in (None, now() + HOUR, None, None)]
    await keys.revoke(revoked.owner, revoked.id)
    expected = {mine.id: mine.owner, lasting.id: lasting.owner}
    assert await keys.owners([mine.id, lasting.id, revoked.id, new_id(), *HOSTILE]) == expected
    assert await keys.owners([]) == {}
    assert await keys.owners([other.id]) == {other.id: other.owner}


async def test_a_revoked_key_is_gone(keys: ApiKeys) -> None:
    key = await added(keys)
    kept = await added(keys, key.owner)
    assert await keys.revoke(key.owner, key.id)
    assert await keys.by_hash(key.hash) is None
    assert await listed(keys, key.owner) == [kept.id]
    assert not await keys.revoke(key.owner, key.id)
    assert await keys.by_hash(kept.hash) == kept


async def test_a_key_is_revoked_by_its_owner_only(keys: ApiKeys) -> None:
    mine, other = await added(keys), await added(keys)
    for owner, key_id in ((other.owner, mine.id), (mine.owner, new_id()), *((mine.owner, one) for one in HOSTILE)):
        assert not await keys.revoke(owner, key_id)
    assert await keys.by_hash(mine.hash) == mine
    assert await keys.by_hash(other.hash) == other


async def test_pages_have_the_newest_first_and_each_key_once(keys: ApiKeys) -> None:
    owner, moment = new_id(), now()
    await added(keys)
    made = [await added(keys, owner, created_at=moment + timedelta(seconds=second)) for second in (0, 1, 1, 1, 2)]
    expected = [one.id for one in sorted(made, key=lambda one: (one.created_at, one.id), reverse=True)]
    for limit in (1, 2, 3, 5, 100):
        found: list[str] = []
        cursor = None
        for _ in range(6):
            page = await keys.page(owner, limit, cursor)
            assert len(page.items) <= limit
            found += [one.id for one in page.items]
            cursor = page.next_cursor
            if cursor is None:
                break
        assert found == expected
    assert (await keys.page(new_id(), 10, None)).items == ()


async def test_a_key_made_between_two_pages_moves_nothing(keys: ApiKeys) -> None:
    owner = new_id()
    old, new = [await added(keys, owner, created_at=now() + timedelta(seconds=second)) for second in (0, 1)]
    first = await keys.page(owner, 1, None)
    await added(keys, owner, created_at=now() + HOUR)
    second = await keys.page(owner, 1, first.next_cursor)
    assert [one.id for one in (*first.items, *second.items)] == [new.id, old.id]
    assert second.next_cursor is None


async def test_a_cursor_of_somebody_elses_making_is_refused(keys: ApiKeys) -> None:
    for cursor in ("x", "", "MTIz", *HOSTILE):
        with pytest.raises(ValueError, match="cursor"):
            await keys.page(new_id(), 10, cursor)


async def test_a_person_has_so_many_keys_and_no_more(keys: ApiKeys) -> None:
    owner = new_id()
    made = [api_key(owner) for _ in range(4)]
    assert [await keys.add(one, 3) for one in made] == [*made[:3], None]
    assert await keys.by_hash(made[3].hash) is None
    assert await keys.add(api_key(), 3)  # somebody else's do not count
    await keys.revoke(owner, made[1].id)
    assert await keys.add(made[3], 3)
    assert await keys.add(api_key(owner), 3) is None
    assert sorted(await listed(keys, owner)) == sorted(one.id for one in made if one is not made[1])


async def test_of_many_made_at_once_so_many_are_kept(keys: ApiKeys) -> None:
    owner = new_id()
    answers = await asyncio.gather(*(keys.add(api_key(owner), 5) for _ in range(12)))
    kept = [one.id for one in answers if one]
    assert len(kept) == 5
    assert sorted(await listed(keys, owner)) == sorted(kept)


async def test_of_one_secret_there_is_one_key(keys: ApiKeys) -> None:
    first = await added(keys, expires_at=now() + HOUR)
    for most in (MOST, 1):  # also for who may have no more
        again = api_key(first.owner, hash=first.hash, name="Another")
        assert await keys.add(again, most) == first
    assert await listed(keys, first.owner) == [first.id]
    together = [api_key(first.owner, hash="of all", name=f"{number}") for number in range(8)]
    kept = await asyncio.gather(*(keys.add(one, MOST) for one in together))
    assert {one.id for one in kept if one} == set(await listed(keys, first.owner)) - {first.id}
    assert None not in kept
    await keys.revoke(first.owner, first.id)
    assert (await added(keys, first.owner, hash=first.hash)).id != first.id


async def test_the_last_use_of_each_is_kept_and_no_earlier_one(keys: ApiKeys) -> None:
    used, unused, moment = await added(keys), await added(keys), now()
    await keys.note_uses({used.id: moment, new_id(): moment})
    assert await last_use(keys, used) == moment
    await keys.note_uses({used.id: moment - HOUR, unused.id: moment})
    assert await last_use(keys, used) == moment
    await keys.note_uses({used.id: moment + HOUR})
    assert await keys.by_hash(used.hash) == used.model_copy(update={"last_used_at": moment + HOUR})
    assert await last_use(keys, unused) == moment
    await keys.note_uses({})


async def test_the_use_of_a_revoked_key_brings_nothing_back(keys: ApiKeys) -> None:
    key = await added(keys)
    await keys.revoke(key.owner, key.id)
    await keys.note_uses({key.id: now(), **dict.fromkeys(HOSTILE, now())})
    assert await keys.by_hash(key.hash) is None
    assert await listed(keys, key.owner) == []


@pytest.mark.parametrize("wrong", NOT_TEXT, ids=str)
async def test_what_is_no_text_finds_no_key(keys: ApiKeys, wrong: str) -> None:
    key = await added(keys)
    assert await given(keys.by_hash(wrong)) is None
    for owner, key_id in ((wrong, key.id), (key.owner, wrong), (wrong, wrong)):
        assert not await given(keys.revoke(owner, key_id))
    page = await given(keys.page(wrong, 10, None))
    assert page is None or page.items == ()
    assert not await given(keys.owners([wrong]))
    assert await keys.by_hash(key.hash) == key
