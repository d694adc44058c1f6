"""Back-ends that come, change, go, fail and recover while a worker runs."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import pytest

from contracts.errors import BackendFailed, Unavailable, UnknownModel
from tests.eventually import eventually
from tests.unit.workers.scripted import FixedRoster, ScriptedBackend, says
from workers.inference import places, slots
from workers.inference.affinity import Wish
from workers.inference.circuit import IN_A_ROW
from workers.inference.slots import Slots

SMALL = Wish("small")
AWAY = BackendFailed("backend_unreachable", "Nobody listens there.")
BROKEN = BackendFailed("backend_error", "It answers 500.")


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slots, "TICK", 0.01)
    monkeypatch.setattr(places, "LOOK_AGAIN", 0.02)
    monkeypatch.setattr(places, "SEARCHES", 0.02)


@asynccontextmanager
async def opened(roster: FixedRoster) -> AsyncGenerator[Slots, None]:
    async with Slots(roster, "default") as pool:
        yield pool


def backend(name: str = "one", slots: int = 1, *serves: str, **changes: object) -> ScriptedBackend:
    made = ScriptedBackend(says("Yes."), name=name, slots=slots)
    made.serves = serves or ("small",)
    made.settings = made.settings.model_copy(update=changes)
    return made


async def open_circuit(pool: Slots, error: BackendFailed = AWAY) -> None:
    """By calls that fail."""
    for _ in range(IN_A_ROW):
        with await pool.take(SMALL) as slot:
            slot.failed(error)


async def test_a_back_end_that_comes_serves_those_who_wait() -> None:
    one, roster = backend(), FixedRoster()
    roster.becomes(one)
    async with opened(roster) as pool:
        await pool.take(SMALL)
        waiting = asyncio.create_task(pool.take(SMALL))
        await asyncio.sleep(0)
        roster.becomes(one, backend("two"))
        assert (await waiting).name == "two"
        assert pool.number == 2


async def test_a_model_whose_back_end_was_added_a_moment_ago_is_found() -> None:
    roster = FixedRoster(backend(), later=[backend("two", 1, "large")])
    async with opened(roster) as pool:
        assert (await pool.take(Wish("large"))).name == "two"
    assert roster.read == 1


async def test_a_model_that_was_pulled_a_moment_ago_is_found() -> None:
    one, two = backend(), backend("two")
    async with opened(FixedRoster(one, two)) as pool:
        (await pool.take(SMALL)).free()
        two.serves = ("small", "pulled")
        assert (await pool.take(Wish("pulled"))).name == "two"


async def test_the_registry_is_not_needed_to_know_that_nobody_has_a_model() -> None:
    roster = FixedRoster(backend(), fails=[Unavailable("The store is away.")])
    async with opened(roster) as pool:
        with pytest.raises(UnknownModel):
            await pool.take(Wish("none"))
        assert roster.read == 1


async def test_those_who_ask_for_what_nobody_has_share_one_search() -> None:
    one, roster = backend(), FixedRoster()
    roster.becomes(one)
    async with opened(roster) as pool:
        (await pool.take(SMALL)).free()
        results = await asyncio.gather(*(pool.take(Wish(f"none-{n}")) for n in range(50)), return_exceptions=True)
        assert all(isinstance(one, UnknownModel) for one in results)
        assert roster.read <= 3


async def test_without_a_back_end_it_waits_for_the_first_one() -> None:
    roster = FixedRoster()
    async with opened(roster) as pool:
        assert pool.number == 0
        with pytest.raises(UnknownModel):
            await pool.take(SMALL)
        roster.becomes(backend())
        assert (await pool.take(SMALL)).name == "one"


async def test_a_back_end_that_goes_ends_what_it_runs_and_gets_nothing_new() -> None:
    one, two = backend(), backend("two")
    roster = FixedRoster(one, two)
    async with opened(roster) as pool:
        held = [await pool.take(SMALL), await pool.take(SMALL)]
        (gone,) = [slot for slot in held if slot.name == "one"]
        roster.becomes(two)
        await eventually(lambda: pool.number == 1)
        waiting = asyncio.create_task(pool.take(SMALL))
        await asyncio.sleep(0)
        assert gone.backend is one
        assert [place.name for place in pool.places.leaving] == ["one"]
        gone.free()
        assert not pool.places.leaving
        assert not waiting.done()
        next(slot for slot in held if slot.name == "two").free()
        assert (await waiting).name == "two"


async def test_who_waits_for_a_back_end_that_goes_is_told_or_finds_another() -> None:
    one, roster = backend(), FixedRoster()
    roster.becomes(one)
    async with opened(roster) as pool:
        await pool.take(SMALL)
        lost, found = asyncio.create_task(pool.take(SMALL)), asyncio.create_task(pool.take(Wish("other")))
        one.serves = ("small", "other")
        await asyncio.sleep(0)
        roster.becomes(backend("two", 1, "other"))
        with pytest.raises(UnknownModel):
            await lost
        assert (await found).name == "two"


async def test_slots_that_are_added_are_given_to_those_who_wait() -> None:
    one, roster = backend(), FixedRoster()
    roster.becomes(one)
    async with opened(roster) as pool:
        first = await pool.take(SMALL)
        waiting = asyncio.create_task(pool.take(SMALL))
        await asyncio.sleep(0)
        larger = backend("one", 2)
        roster.becomes(larger)
        assert (await waiting).backend is larger
        assert first.backend is one


async def test_slots_that_are_taken_away_are_not_given_again() -> None:
    roster = FixedRoster(backend("one", 3))
    async with opened(roster) as pool:
        held = [await pool.take(SMALL) for _ in range(3)]
        roster.becomes(backend("one", 1))
        await eventually(lambda: pool.number == 1)
        waiting = asyncio.create_task(pool.take(SMALL))
        for slot in held[:2]:
            slot.free()
            await asyncio.sleep(0)
            assert not waiting.done()
        held[2].free()
        await waiting


async def test_another_server_under_the_same_name_begins_without_a_past() -> None:
    roster = FixedRoster(backend())
    async with opened(roster) as pool:
        await open_circuit(pool)
        roster.becomes(backend("one", 1, "small", url="http://elsewhere"))
        (await pool.take(SMALL)).free()
        assert pool.places.all[0].health.server.state == "closed"


async def test_back_ends_of_other_pools_are_none_of_ours() -> None:
    roster = FixedRoster(backend())
    async with opened(roster) as pool:
        roster.becomes(backend(), backend("two", 4, "large", pool="gpu"))
        with pytest.raises(UnknownModel):
            await pool.take(Wish("large"))
        assert pool.number == 1


async def test_what_is_away_is_left_alone_while_another_one_has_the_model() -> None:
    one, two = backend("one", 4), backend("two", 4)
    async with opened(FixedRoster(one, two)) as pool:
        for _ in range(IN_A_ROW):
            with await pool.take(Wish("small", ["two"])) as slot:
                assert slot.name == "one"
                slot.failed(AWAY)
        one.serves = AWAY
        held = [await pool.take(Wish("small", ["two"])) for _ in range(4)]
        assert {slot.name for slot in held} == {"two"}
        waiting = asyncio.create_task(pool.take(SMALL))  # rather for that one
        await asyncio.sleep(0)
        held[0].free()
        assert (await waiting).name == "two"


async def test_where_everything_is_away_one_call_tries_and_the_others_follow(monkeypatch: pytest.MonkeyPatch) -> None:
    one = backend("one", 8)
    async with opened(FixedRoster(one)) as pool:
        await open_circuit(pool)
        one.serves = AWAY
        waiting = [asyncio.create_task(pool.take(SMALL)) for _ in range(5)]
        await asyncio.sleep(0)
        assert not any(task.done() for task in waiting)
        one.serves = ("small",)  # it is looked at, and found to be back long before its time
        await eventually(lambda: sum(task.done() for task in waiting) == 1)
        (tries,) = [task.result() for task in waiting if task.done()]
        tries.answered(0.1)
        await asyncio.gather(*waiting)


async def test_who_tries_and_is_cancelled_leaves_the_try_to_the_next() -> None:
    one = backend("one", 8)
    async with opened(FixedRoster(one)) as pool:
        await open_circuit(pool)
        waiting = [asyncio.create_task(pool.take(SMALL)) for _ in range(2)]
        await eventually(lambda: sum(task.done() for task in waiting) == 1)
        (tries,) = [task.result() for task in waiting if task.done()]
        tries.free()
        await asyncio.gather(*waiting)


async def test_nobody_waits_for_ever_where_everything_is_away(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slots, "AWAY", 0.1)
    one = backend("one", 8)
    async with opened(FixedRoster(one)) as pool:
        await open_circuit(pool)
        one.serves = AWAY
        with pytest.raises(BackendFailed, match="reached") as raised:
            await pool.take(SMALL)
        assert (raised.value.code, raised.value.retryable) == ("backend_unreachable", True)
        with pytest.raises(BackendFailed):
            await pool.take(SMALL, patience=0.0)


async def test_a_model_that_fails_everywhere_is_asked_all_the_same() -> None:
    one = backend("one", 8, "small", "large")
    async with opened(FixedRoster(one)) as pool:
        with await pool.take(Wish("large")) as slot:
            slot.answered(0.1)
        await open_circuit(pool, BROKEN)
        with await pool.take(SMALL) as slot:
            assert slot.name == "one"


async def test_what_a_back_end_has_loaded_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(places, "LOOK", 0.02)
    one, two = backend("one", 4), backend("two", 4)
    two.holds = ("small:latest",)
    async with opened(FixedRoster(one, two)) as pool:
        (await pool.take(SMALL)).free()
        assert (await pool.take(SMALL)).name == "two"
        two.holds, one.holds = (), ("small",)
        await eventually(lambda: pool.places.all[0].has_loaded("small"))
        assert (await pool.take(SMALL)).name == "one"


async def test_a_pool_that_nobody_uses_is_left_in_peace(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(places, "LOOK", 0.01)
    one = backend()
    async with opened(FixedRoster(one)) as pool:
        await eventually(lambda: pool.places.all[0].models)
        for _ in range(10):
            await asyncio.sleep(0.01)
        assert one.asked == 1
        (await pool.take(SMALL)).free()
        await eventually(lambda: one.asked > 3)
