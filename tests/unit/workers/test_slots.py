"""Which back-end runs a generation."""

import asyncio

import pytest

from contracts.errors import BackendFailed, UnknownModel
from tests.unit.workers.scripted import ScriptedBackend, says
from workers.inference.slots import Slots


def slots(*backends: ScriptedBackend) -> Slots:
    return Slots({one.settings.name: one for one in backends}, "default")


async def test_a_model_runs_where_it_is_served() -> None:
    small, large = ScriptedBackend(says(), name="small"), ScriptedBackend(says(), name="large")
    large.serves = ("large:latest",)
    slot = await slots(small, large).take("large")
    assert slot.name == "large"


async def test_the_least_busy_backend_comes_first() -> None:
    one, two = ScriptedBackend(says(), name="one", slots=2), ScriptedBackend(says(), name="two", slots=2)
    pool = slots(one, two)
    assert {(await pool.take("small")).name for _ in range(2)} == {"one", "two"}


async def test_who_waits_gets_the_slot_that_is_freed() -> None:
    pool = slots(ScriptedBackend(says(), slots=1))
    held = await pool.take("small")
    waiting = asyncio.create_task(pool.take("small"))
    held.free()
    held.free()  # twice is once
    with await waiting:
        third = asyncio.create_task(pool.take("small"))
        await asyncio.sleep(0)
        assert not third.done()
    (await third).free()


async def test_somebody_who_gave_up_waiting_takes_no_slot() -> None:
    pool = slots(ScriptedBackend(says(), slots=1))
    held = await pool.take("small")
    gave_up, waiting = asyncio.create_task(pool.take("small")), asyncio.create_task(pool.take("small"))
    await asyncio.sleep(0)
    gave_up.cancel()
    held.free()
    assert (await waiting).name == "one"


async def test_a_backend_that_does_not_tell_may_have_any_model() -> None:
    mute, other = ScriptedBackend(says(), name="mute"), ScriptedBackend(says(), name="other")
    mute.serves = BackendFailed("backend_unreachable", "Nobody listens there.")
    pool = slots(mute, other)
    assert (await pool.take("rare")).name == "mute"
    assert (await pool.take("small")).name == "other"


async def test_a_model_that_nobody_lists_is_unknown() -> None:
    one, two = ScriptedBackend(says(), name="one"), ScriptedBackend(says(), name="two")
    with pytest.raises(UnknownModel):
        await slots(one, two).take("none")
    assert (one.asked, two.asked) == (1, 1)


async def test_backends_of_other_pools_are_left_alone() -> None:
    own, other = ScriptedBackend(says(), name="own", slots=1), ScriptedBackend(says(), name="other", pool="gpu")
    pool = slots(own, other)
    await pool.take("small")
    waiting = asyncio.create_task(pool.take("small"))
    await asyncio.sleep(0)
    assert not waiting.done()
    waiting.cancel()


async def test_a_backend_is_idle_while_it_has_a_slot_that_nobody_waits_for() -> None:
    pool = slots(ScriptedBackend(says(), slots=2))
    assert pool.idle("one")
    assert not pool.idle("two")
    first, second = await pool.take("small"), await pool.take("small")
    assert not pool.idle("one")
    first.free()
    assert pool.idle("one")
    second.free()
