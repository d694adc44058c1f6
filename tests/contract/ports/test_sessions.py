"""What every `Sessions` does. The suite is the port's definition."""

import asyncio
from datetime import datetime, timedelta
from itertools import pairwise

import pytest

from contracts.ids import new_id
from contracts.ports.stores import Sessions
from contracts.records import Session, SessionToken
from tests.contract.ports.stores import HOSTILE, NOT_TEXT, Stores, given, now

GRACE = 30.0
KEPT_TOKENS = 10


@pytest.fixture
def sessions(stores: Stores) -> Sessions:
    return stores.sessions


def session(token: str = "first", **changes: object) -> Session:
    begun = now()
    fields = {
        "id": new_id(), "account_id": new_id(), "tokens": (SessionToken(hash=token),), "created_at": begun,
        "expires_at": begun + timedelta(days=30),
    }  # fmt: skip
    return Session.model_validate({**fields, **changes})


def after(seconds: float, moment: datetime) -> datetime:
    return moment + timedelta(seconds=seconds)


async def added(sessions: Sessions, token: str = "first", **changes: object) -> Session:
    begun = session(token, **changes)
    await sessions.add(begun)
    return begun


def hashes(found: Session | None) -> list[str]:
    assert found is not None
    return [one.hash for one in found.tokens]


async def test_a_session_is_read_as_it_was_added(sessions: Sessions) -> None:
    begun = await added(sessions)
    assert await sessions.get(begun.id) == begun
    assert await sessions.get(new_id()) is None


async def test_the_living_are_those_that_neither_ended_nor_expired(sessions: Sessions) -> None:
    alive, other, ended = [await added(sessions, token) for token in ("a", "b", "c")]
    expired = await added(sessions, "d", expires_at=after(-1, now()))
    await sessions.end(ended.id, ended.account_id, now())
    asked = [one.id for one in (alive, ended, expired)]
    assert await sessions.living([*asked, new_id(), *HOSTILE]) == {alive.id}
    assert await sessions.living([]) == set()
    assert await sessions.living([other.id]) == {other.id}


async def test_a_current_token_is_replaced_within_its_session(sessions: Sessions) -> None:
    begun = await added(sessions)
    at = now()
    rotated = await sessions.rotate("first", "second", at, GRACE)
    assert rotated is not None
    assert rotated.id == begun.id
    assert rotated.tokens == (SessionToken(hash="first", replaced_at=at), SessionToken(hash="second"))
    assert await sessions.get(begun.id) == rotated
    assert rotated.model_copy(update={"tokens": begun.tokens}) == begun


async def test_a_token_replaced_within_the_grace_still_gets_a_successor(sessions: Sessions) -> None:
    begun = await added(sessions)
    at = now()
    await sessions.rotate("first", "second", at, GRACE)
    again = await sessions.rotate("first", "third", after(GRACE - 0.001, at), GRACE)
    assert again is not None
    assert hashes(again) == ["first", "second", "third"]
    assert again.id == begun.id
    assert again.ended_at is None
    assert again.tokens[0].replaced_at == at  # the grace is counted from the first replacement
    assert await sessions.rotate("second", "fourth", after(GRACE, at), GRACE) is not None


@pytest.mark.parametrize("late", [0.0, 0.001, 3600.0])
async def test_a_token_replaced_before_the_grace_ends_the_session(sessions: Sessions, late: float) -> None:
    begun = await added(sessions)
    at = now()
    await sessions.rotate("first", "second", at, GRACE)
    stolen = after(GRACE + late, at)
    assert await sessions.rotate("first", "third", stolen, GRACE) is None
    found = await sessions.get(begun.id)
    assert found is not None
    assert found.ended_at == stolen
    assert hashes(found) == ["first", "second"]
    assert await sessions.rotate("second", "fourth", stolen, GRACE) is None
    assert await sessions.living([begun.id]) == set()


async def test_without_a_grace_a_token_works_once(sessions: Sessions) -> None:
    await added(sessions)
    at = now()
    assert await sessions.rotate("first", "second", at, 0) is not None
    assert await sessions.rotate("first", "third", at, 0) is None
    assert await sessions.rotate("second", "fourth", at, 0) is None


async def test_unknown_tokens_get_nothing_and_end_nothing(sessions: Sessions) -> None:
    begun = await added(sessions)
    for text in ("unknown", *HOSTILE):
        assert await sessions.rotate(text, new_id(), now(), GRACE) is None
        assert await sessions.end_by_token(text, now()) is None
    assert await sessions.get(begun.id) == begun


async def test_tokens_of_an_ended_session_get_nothing(sessions: Sessions) -> None:
    begun = await added(sessions)
    at = now()
    await sessions.end(begun.id, begun.account_id, at)
    assert await sessions.rotate("first", "second", after(1, at), GRACE) is None
    found = await sessions.get(begun.id)
    assert hashes(found) == ["first"]
    assert found is not None
    assert found.ended_at == at


async def test_tokens_of_an_expired_session_get_nothing(sessions: Sessions) -> None:
    begun = await added(sessions)
    assert await sessions.rotate("first", "second", begun.expires_at, GRACE) is None
    assert await sessions.rotate("first", "second", after(-0.001, begun.expires_at), GRACE) is not None


async def test_rotations_of_one_token_at_once_all_stay_in_its_session(sessions: Sessions) -> None:
    begun = await added(sessions)
    at = now()
    successors = [new_id() for _ in range(5)]
    rotated = await asyncio.gather(*(sessions.rotate("first", one, at, GRACE) for one in successors))
    assert {one.id for one in rotated if one} == {begun.id}
    assert all(successor in hashes(one) for successor, one in zip(successors, rotated, strict=True))
    assert sorted(hashes(await sessions.get(begun.id))) == sorted(["first", *successors])
    for one in successors:
        assert await sessions.rotate(one, new_id(), at, GRACE) is not None


async def test_the_newest_ten_tokens_are_remembered(sessions: Sessions) -> None:
    begun = await added(sessions, "token 0")
    at = now()
    for number in range(14):
        assert await sessions.rotate(f"token {number}", f"token {number + 1}", at, GRACE) is not None
    assert hashes(await sessions.get(begun.id)) == [f"token {number}" for number in range(14 + 1 - KEPT_TOKENS, 15)]
    assert await sessions.rotate("token 0", "other", after(2 * GRACE, at), GRACE) is None  # forgotten, not stolen
    assert await sessions.rotate("token 14", "token 15", at, GRACE) is not None


async def test_a_session_is_ended_by_its_own_account_only(sessions: Sessions) -> None:
    begun, other = await added(sessions, "a"), await added(sessions, "b")
    await sessions.end(begun.id, other.account_id, now())
    assert await sessions.get(begun.id) == begun
    at = now()
    await sessions.end(begun.id, begun.account_id, at)
    await sessions.end(begun.id, begun.account_id, after(60, at))
    assert await sessions.get(begun.id) == begun.model_copy(update={"ended_at": at})
    assert await sessions.get(other.id) == other


async def test_a_session_is_ended_by_any_token_that_it_issued(sessions: Sessions) -> None:
    begun, other = await added(sessions, "a"), await added(sessions, "b")
    at = now()
    await sessions.rotate("a", "a2", at, GRACE)
    assert await sessions.end_by_token("a", at) == begun.id
    assert await sessions.end_by_token("a2", after(60, at)) == begun.id
    found = await sessions.get(begun.id)
    assert found is not None
    assert found.ended_at == at
    assert await sessions.rotate("a2", "a3", at, GRACE) is None
    assert await sessions.get(other.id) == other


async def test_tokens_that_look_like_queries_are_tokens(sessions: Sessions) -> None:
    begun = await added(sessions, HOSTILE[0])
    at = now()
    for old, new in pairwise(HOSTILE):
        rotated = await sessions.rotate(old, new, at, GRACE)
        assert rotated is not None
        assert rotated.id == begun.id
        assert hashes(rotated)[-1] == new
    assert await sessions.end_by_token(HOSTILE[-1], at) == begun.id


@pytest.mark.parametrize("wrong", NOT_TEXT, ids=str)
async def test_what_is_no_text_finds_no_session(sessions: Sessions, wrong: str) -> None:
    begun = await added(sessions)
    at = now()
    for call in (sessions.get(wrong), sessions.rotate(wrong, "x", at, GRACE), sessions.end_by_token(wrong, at)):
        assert await given(call) is None
    for session_id, account_id in ((wrong, begun.account_id), (begun.id, wrong), (wrong, wrong)):
        await given(sessions.end(session_id, account_id, at))
    assert await sessions.get(begun.id) == begun
