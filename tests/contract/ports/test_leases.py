"""What every `Leases` does. The suite is the port's definition."""

import asyncio

import pytest

from contracts.ids import new_id
from contracts.ports.stores import Leases
from tests.contract.ports.stores import HOSTILE, NOT_TEXT, Stores, given
from tests.eventually import eventually

LONG, SHORT = 60.0, 0.2


@pytest.fixture
def leases(stores: Stores) -> Leases:
    return stores.leases


async def test_a_lease_has_one_holder(leases: Leases) -> None:
    assert await leases.acquire("catalog.refresh", "a", LONG)
    assert not await leases.acquire("catalog.refresh", "b", LONG)
    assert await leases.acquire("catalog.sweep", "b", LONG)


async def test_of_many_who_want_a_lease_at_once_one_gets_it(leases: Leases) -> None:
    holders = [new_id() for _ in range(20)]
    got = await asyncio.gather(*(leases.acquire("x", one, LONG) for one in holders))
    assert sum(got) == 1
    assert await leases.acquire("x", holders[got.index(True)], LONG)


async def test_its_holder_renews_it(leases: Leases) -> None:
    assert await leases.acquire("x", "a", SHORT)
    assert await leases.acquire("x", "a", LONG)
    await leases.acquire("clock", "a", SHORT)
    assert await eventually(
        lambda: leases.acquire("clock", "b", LONG)
    )  # so the first term is over: only the renewal holds
    assert not await leases.acquire("x", "b", LONG)


async def test_a_lease_that_ran_out_is_taken_over_and_its_holder_then_refused(leases: Leases) -> None:
    assert await leases.acquire("x", "a", SHORT)
    assert not await leases.acquire("x", "b", LONG)
    assert await eventually(lambda: leases.acquire("x", "b", LONG))
    assert not await leases.acquire("x", "a", LONG)


async def test_a_released_lease_is_free_at_once(leases: Leases) -> None:
    await leases.acquire("x", "a", LONG)
    await leases.release("x", "a")
    await leases.release("x", "a")
    assert await leases.acquire("x", "b", LONG)


async def test_nobody_releases_the_lease_of_another(leases: Leases) -> None:
    await leases.acquire("x", "a", LONG)
    await leases.release("x", "b")
    await leases.release("y", "a")
    assert not await leases.acquire("x", "b", LONG)


@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
async def test_names_and_holders_that_look_like_queries_are_names_and_holders(leases: Leases, text: str) -> None:
    assert await leases.acquire(text, "a", LONG)
    assert not await leases.acquire(text, text, LONG)
    assert await leases.acquire("x", text, LONG)
    assert await leases.acquire("x", text, LONG)
    assert not await leases.acquire("x", "a", LONG)
    await leases.release(text, text)
    assert not await leases.acquire(text, "b", LONG)


@pytest.mark.parametrize("wrong", NOT_TEXT, ids=str)
async def test_what_is_no_text_releases_nothing(leases: Leases, wrong: str) -> None:
    await leases.acquire("x", "a", LONG)
    for name, holder in ((wrong, "a"), ("x", wrong), (wrong, wrong)):
        await given(leases.release(name, holder))
    assert not await leases.acquire("x", "b", LONG)
