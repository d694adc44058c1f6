"""Which back-end runs a generation."""

import asyncio
import time

import pytest

from contracts.commands import Lane
from contracts.errors import BackendFailed, UnknownModel
from tests.unit.workers.scripted import FixedRoster, ScriptedBackend, says
from workers.inference.affinity import Wish
from workers.inference.slots import Slot, Slots


def slots(*backends: ScriptedBackend) -> Slots:
    return Slots(FixedRoster(*backends), "default")


async def test_a_model_runs_where_it_is_served() -> None:
    small, large = ScriptedBackend(says(), name="small"), ScriptedBackend(says(), name="large")
    large.serves = ("large:latest",)
    slot = await slots(small, large).take(Wish("large"))
    assert slot.name == "large"


async def test_the_least_busy_backend_comes_first() -> None:
    one, two = ScriptedBackend(says(), name="one", slots=2), ScriptedBackend(says(), name="two", slots=2)
    pool = slots(one, two)
    assert {(await pool.take(Wish("small"))).name for _ in range(2)} == {"one", "two"}


async def test_who_waits_gets_the_slot_that_is_freed() -> None:
    pool = slots(ScriptedBackend(says(), slots=1))
    held = await pool.take(Wish("small"))
    waiting = asyncio.create_task(pool.take(Wish("small")))
    held.free()
    held.free()  # twice is once
    with await waiting:
        third = asyncio.create_task(pool.take(Wish("small")))
        await asyncio.sleep(0)
        assert not third.done()
    (await third).free()


async def test_somebody_who_gave_up_waiting_takes_no_slot() -> None:
    pool = slots(ScriptedBackend(says(), slots=1))
    held = await pool.take(Wish("small"))
    gave_up, waiting = asyncio.create_task(pool.take(Wish("small"))), asyncio.create_task(pool.take(Wish("small")))
    await asyncio.sleep(0)
    gave_up.cancel()
    held.free()
    assert (await waiting).name == "one"


async def test_a_backend_that_does_not_tell_may_have_any_model() -> None:
    mute, other = ScriptedBackend(says(), name="mute"), ScriptedBackend(says(), name="other")
    mute.serves = BackendFailed("backend_unreachable", "Nobody listens there.")
    pool = slots(mute, other)
    assert (await pool.take(Wish("rare"))).name == "mute"
    assert (await pool.take(Wish("small"))).name == "other"


async def test_a_model_that_nobody_lists_is_unknown() -> None:
    one, two = ScriptedBackend(says(), name="one"), ScriptedBackend(says(), name="two")
    with pytest.raises(UnknownModel):
        await slots(one, two).take(Wish("none"))
    assert (one.asked, two.asked) == (1, 1)


async def test_backends_of_other_pools_are_left_alone() -> None:
    own, other = ScriptedBackend(says(), name="own", slots=1), ScriptedBackend(says(), name="other", pool="gpu")
    pool = slots(own, other)
    await pool.take(Wish("small"))
    waiting = asyncio.create_task(pool.take(Wish("small")))
    await asyncio.sleep(0)
    assert not waiting.done()
    waiting.cancel()


async def test_a_backend_is_idle_while_it_has_a_slot_that_nobody_waits_for() -> None:
    pool = slots(ScriptedBackend(says(), slots=2))
    assert pool.idle("one")
    assert not pool.idle("two")
    first, second = await pool.take(Wish("small")), await pool.take(Wish("small"))
    assert not pool.idle("one")
    first.free()
    assert pool.idle("one")
    second.free()


async def _order(pool: Slots, held: Slot, *waiting: tuple[str, Lane, float]) -> list[str]:
    """In which order these (name, lane, seconds waited so far) get the one slot, one after another."""
    served: list[str] = []

    async def use(name: str, lane: Lane, waited: float) -> None:
        with await pool.take(Wish("small"), lane=lane, since=time.monotonic() - waited):
            served.append(name)

    tasks = [asyncio.create_task(use(*one)) for one in waiting]
    await asyncio.sleep(0)
    held.free()
    await asyncio.gather(*tasks)
    return served


@pytest.mark.parametrize(
    ("waiting", "order"),
    [
        ([("bulk", "bulk", 0.0), ("person", "interactive", 0.0)], ["person", "bulk"]),
        ([("person", "interactive", 0.0), ("bulk", "bulk", 2.5)], ["bulk", "person"]),
        ([("person", "interactive", 0.0), ("bulk", "bulk", 1.5)], ["person", "bulk"]),
        ([("batch", "batch", 9.0), ("bulk", "bulk", 0.0), ("person", "interactive", 0.5)], ["person", "batch", "bulk"]),
        ([("person", "interactive", 0.0), ("batch", "batch", 10.5)], ["batch", "person"]),
        ([("one", "bulk", 1.0), ("two", "bulk", 1.0), ("three", "bulk", 1.0)], ["one", "two", "three"]),
    ],
)
async def test_a_lane_that_can_wait_is_next_once_it_has_waited_longer(
    waiting: list[tuple[str, Lane, float]], order: list[str]
) -> None:
    pool = slots(ScriptedBackend(says(), slots=1))
    assert await _order(pool, await pool.take(Wish("small")), *waiting) == order


async def test_who_gives_up_in_the_moment_of_being_served_passes_the_slot_on() -> None:
    pool = slots(ScriptedBackend(says(), slots=1))
    held = await pool.take(Wish("small"))
    gave_up, waiting = asyncio.create_task(pool.take(Wish("small"))), asyncio.create_task(pool.take(Wish("small")))
    await asyncio.sleep(0)
    held.free()  # it is the first one's now
    gave_up.cancel()
    assert (await waiting).name == "one"
    assert gave_up.cancelled()


async def test_who_gave_up_before_a_slot_was_free_is_passed_over() -> None:
    pool = slots(ScriptedBackend(says(), slots=1))
    held = await pool.take(Wish("small"))
    gave_up, waiting = asyncio.create_task(pool.take(Wish("small"))), asyncio.create_task(pool.take(Wish("small")))
    await asyncio.sleep(0)
    gave_up.cancel()
    held.free()  # before the one that gave up has noticed
    (await waiting).free()
    assert pool.idle("one")


async def test_a_slot_goes_to_who_can_use_it_past_others_that_wait() -> None:
    small, large = ScriptedBackend(says(), name="small", slots=1), ScriptedBackend(says(), name="large", slots=1)
    small.serves, large.serves = ("small",), ("large",)
    pool = slots(small, large)
    held = [await pool.take(Wish("small")), await pool.take(Wish("large"))]
    first, second = asyncio.create_task(pool.take(Wish("small"))), asyncio.create_task(pool.take(Wish("large")))
    await asyncio.sleep(0)
    held[1].free()
    assert (await second).name == "large"
    assert not first.done()
    held[0].free()
    (await first).free()
