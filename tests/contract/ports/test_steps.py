"""What every `Steps` does. The suite is the port's definition."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from contracts.administration import Step
from contracts.ids import new_id
from contracts.ports.administration import Steps
from tests.contract.ports.stores import ANY_JSON, HOSTILE, NOT_TEXT, Stores, given, now
from tests.eventually import eventually

LONG, SHORT = 60.0, 0.2
MOST = 100


@pytest.fixture
def steps(stores: Stores) -> Steps:
    return stores.steps


def step(key: str = "PullModel a small", **changes: object) -> Step:
    fields = {"key": key, "kind": "PullModel", "target": "a", "model": "small", "created_at": now()}
    return Step.model_validate({**fields, **changes})


async def taken(steps: Steps, seconds: float = LONG, *, holder: str = "h") -> Step:
    """A step that one command, `c`, waits for."""
    await steps.attach(step(), "c")
    (one,) = await steps.take(holder, seconds, MOST)
    return one


async def run_out(stores: Stores) -> None:
    """A short lease that begins now has run out, by the store's clock; so have those that began before."""
    clock = new_id()
    await stores.leases.acquire(clock, "a", SHORT)
    await eventually(lambda: stores.leases.acquire(clock, "b", LONG))


async def test_a_step_is_made_by_who_waits_for_it_first_and_shared_by_who_comes_later(steps: Steps) -> None:
    one = step(body=ANY_JSON)
    first = await steps.attach(one, "c1")
    assert first == one.model_copy(update={"commands": ("c1",), "changes": 1})
    second = await steps.attach(step(body={"another": "body"}, created_at=now() + timedelta(seconds=1)), "c2")
    assert second == first.model_copy(update={"commands": ("c1", "c2"), "changes": 2})
    assert await steps.attach(one, "c1") == second
    assert await steps.concerning("small") == [second]


async def test_a_moment_is_kept_in_milliseconds(steps: Steps) -> None:
    made = await steps.attach(step(created_at=datetime(2026, 11, 24, 12, 0, 0, 123_456, UTC)), "c")
    assert made.created_at == datetime(2026, 11, 24, 12, 0, 0, 123_000, UTC)
    assert await steps.concerning("small") == [made]


async def test_what_steps_a_model_has_is_told_oldest_first(steps: Steps) -> None:
    first = now()
    made = [
        await steps.attach(step(f"{age}", created_at=first - timedelta(milliseconds=age)), "c") for age in (10, 0, 20)
    ]
    await steps.attach(step("x", model="large"), "c")
    assert await steps.concerning("small") == [made[2], made[0], made[1]]
    assert await steps.concerning("nothing") == []


async def test_the_oldest_steps_are_taken_first_each_under_an_epoch_of_its_own(steps: Steps) -> None:
    first = now()
    for age in (10, 0, 20):
        await steps.attach(step(f"{age}", created_at=first - timedelta(milliseconds=age)), "c")
    assert await steps.take("h", LONG, 0) == ()
    got = [*await steps.take("h", LONG, 2), *await steps.take("h", LONG, 2)]
    assert [one.key for one in got] == ["20", "10", "0"]
    assert all(one.epoch > 0 for one in got)
    assert [one.commands for one in got] == [("c",)] * 3
    assert not await steps.take("h", LONG, MOST)


async def test_of_many_who_take_at_once_each_step_goes_to_one(steps: Steps) -> None:
    keys = {f"{number}" for number in range(10)}
    for key in keys:
        await steps.attach(step(key), "c")
    holders = [new_id() for _ in range(20)]
    got: list[Step] = []
    while len(got) < len(keys):
        # who is slower than others finds less than there was: so again, until all are gone
        for found in await asyncio.gather(*(steps.take(one, LONG, 3) for one in holders)):
            got += found
    assert sorted(one.key for one in got) == sorted(keys)
    assert len({one.epoch for one in got}) == len(keys)


async def test_a_lease_that_ran_out_is_taken_over_under_a_higher_epoch(steps: Steps) -> None:
    old = await taken(steps, SHORT, holder="old")
    assert not await steps.take("new", LONG, MOST)
    (new,) = await eventually(lambda: steps.take("new", LONG, MOST))
    assert new == old.model_copy(update={"epoch": new.epoch})
    assert new.epoch > old.epoch
    assert await steps.renew(old, "old", LONG) is None
    assert not await steps.finish(old, "old")
    await steps.release(old, "old")
    assert await steps.renew(new, "new", LONG) == new
    assert await steps.finish(new, "new")


async def test_who_takes_the_same_step_again_has_lost_its_older_take(steps: Steps) -> None:
    old = await taken(steps, SHORT)
    (new,) = await eventually(lambda: steps.take("h", LONG, MOST))
    assert await steps.renew(old, "h", LONG) is None
    assert not await steps.finish(old, "h")
    await steps.release(old, "h")
    assert not await steps.take("other", LONG, MOST)
    assert await steps.finish(new, "h")


async def test_a_step_that_comes_again_is_never_under_an_old_epoch(steps: Steps) -> None:
    old = await taken(steps)
    assert await steps.finish(old, "h")
    new = await taken(steps)
    assert (new.key, new.changes) == (old.key, old.changes)
    assert new.epoch > old.epoch
    assert await steps.renew(old, "h", LONG) is None
    assert not await steps.finish(old, "h")
    assert await steps.concerning("small") == [new]


async def test_its_holder_renews_it_and_sees_who_waits_for_it(steps: Steps, stores: Stores) -> None:
    one = await taken(steps, SHORT)
    await steps.attach(step(), "c2")
    await steps.detach(one.key, "c")
    assert await steps.renew(one, "h", LONG) == one.model_copy(update={"commands": ("c2",), "changes": one.changes + 2})
    await run_out(stores)
    assert not await steps.take("other", LONG, MOST)


async def test_a_lease_that_ran_out_is_still_its_holders_while_nobody_took_the_step(
    steps: Steps, stores: Stores
) -> None:
    one = await taken(steps, SHORT)
    await run_out(stores)
    assert await steps.renew(one, "h", LONG) == one
    assert not await steps.take("other", LONG, MOST)
    assert await steps.renew(one, "h", SHORT) == one
    await run_out(stores)
    assert await steps.finish(one, "h")


async def test_nobody_renews_finishes_or_releases_the_step_of_another(steps: Steps) -> None:
    one = await taken(steps)
    assert await steps.renew(one, "other", LONG) is None
    assert not await steps.finish(one, "other")
    await steps.release(one, "other")
    await steps.release(one.model_copy(update={"epoch": one.epoch - 1}), "h")
    await steps.release(one.model_copy(update={"key": "unknown"}), "h")
    assert not await steps.take("other", LONG, MOST)
    assert await steps.renew(one, "h", LONG) == one


async def test_a_step_that_nobody_took_is_nobodys(steps: Steps) -> None:
    one = await steps.attach(step(), "c")
    assert await steps.renew(one, "h", LONG) is None
    assert not await steps.finish(one, "h")
    await steps.release(one, "h")
    assert len(await steps.take("h", LONG, MOST)) == 1


async def test_a_released_step_is_free_at_once(steps: Steps) -> None:
    one = await taken(steps)
    await steps.release(one, "h")
    await steps.release(one, "h")
    assert await steps.renew(one, "h", LONG) is None
    (again,) = await steps.take("other", LONG, MOST)
    assert again.epoch > one.epoch


async def test_a_finished_step_is_gone(steps: Steps) -> None:
    one = await taken(steps)
    assert await steps.finish(one, "h")
    assert not await steps.finish(one, "h")
    assert await steps.renew(one, "h", LONG) is None
    assert await steps.concerning("small") == []
    await steps.detach(one.key, "c")
    assert not await steps.take("h", LONG, MOST)


async def test_a_step_that_others_wait_for_meanwhile_is_not_finished(steps: Steps) -> None:
    one = await taken(steps)
    await steps.attach(step(), "c2")
    assert not await steps.finish(one, "h")
    renewed = await steps.renew(one, "h", LONG)
    assert renewed is not None
    assert renewed.commands == ("c", "c2")
    await steps.attach(step(), "c2")  # which changes nothing
    assert await steps.finish(renewed, "h")


async def test_a_step_that_somebody_left_meanwhile_is_not_finished(steps: Steps) -> None:
    one = await taken(steps)
    await steps.detach(one.key, "c")
    await steps.attach(step(), "c")
    assert not await steps.finish(one, "h")


@pytest.mark.parametrize("turn", range(5))
async def test_who_attaches_while_a_step_is_finished_is_never_lost(steps: Steps, turn: int) -> None:
    one = await taken(steps)
    more = [f"c{number}" for number in range(10)]
    calls = [steps.attach(step(), each) for each in more]
    told = await asyncio.gather(*calls[: 2 * turn], steps.finish(one, "h"), *calls[2 * turn :])
    (left,) = await steps.concerning("small")
    assert sorted(left.commands) == (more if told[2 * turn] else ["c", *more])


async def test_many_who_attach_and_detach_at_once_are_each_counted(steps: Steps) -> None:
    await steps.attach(step(), "first")
    await asyncio.gather(*(steps.attach(step(), f"c{number}") for number in range(20)))
    await asyncio.gather(*(steps.detach(step().key, f"c{number}") for number in range(0, 20, 2)))
    (one,) = await steps.concerning("small")
    assert sorted(one.commands) == sorted(["first", *(f"c{number}" for number in range(1, 20, 2))])
    assert one.changes == 31


async def test_many_who_make_a_step_at_once_share_it(steps: Steps) -> None:
    await asyncio.gather(*(steps.attach(step(body={"by": number}), f"c{number}") for number in range(20)))
    (one,) = await steps.concerning("small")
    assert sorted(one.commands) == sorted(f"c{number}" for number in range(20))
    assert one.changes == 20


async def test_a_free_step_that_nobody_waits_for_any_more_is_removed(steps: Steps) -> None:
    await steps.attach(step(), "c1")
    await steps.attach(step(), "c2")
    await steps.detach(step().key, "c1")
    await steps.detach(step().key, "c1")
    await steps.detach(step().key, "unknown")
    (one,) = await steps.concerning("small")
    assert (one.commands, one.changes) == (("c2",), 3)
    await steps.detach(step().key, "c2")
    assert await steps.concerning("small") == []
    assert (await steps.attach(step(), "c3")).changes == 1


async def test_a_held_step_that_nobody_waits_for_is_left_to_its_holder(steps: Steps) -> None:
    one = await taken(steps)
    await steps.detach(one.key, "c")
    assert await steps.concerning("small") == []
    assert not await steps.finish(one, "h")
    renewed = await steps.renew(one, "h", LONG)
    assert renewed is not None
    assert renewed.commands == ()
    assert await steps.finish(renewed, "h")


async def test_who_attaches_to_a_held_step_that_was_left_has_it_go_on(steps: Steps) -> None:
    one = await taken(steps)
    await steps.detach(one.key, "c")
    again = await steps.attach(step(), "c2")
    assert (again.epoch, again.commands) == (one.epoch, ("c2",))
    assert not await steps.finish(one, "h")
    assert await steps.renew(one, "h", LONG) == again


async def test_a_step_that_nobody_waits_for_goes_when_its_holder_lets_go(steps: Steps) -> None:
    one = await taken(steps)
    await steps.detach(one.key, "c")
    await steps.release(one, "h")
    assert not await steps.take("h", LONG, MOST)
    assert (await steps.attach(step(), "c")).epoch == 0


async def test_a_step_that_nobody_waits_for_and_whose_holder_died_is_never_given(steps: Steps, stores: Stores) -> None:
    one = await taken(steps, SHORT)
    await steps.detach(one.key, "c")
    await run_out(stores)
    await steps.attach(step("another"), "c")
    assert [each.key for each in await steps.take("other", LONG, 1)] == ["another"]
    assert await steps.renew(one, "h", LONG) is None
    assert (await steps.attach(step(), "c")).changes == 1


async def test_a_step_whose_holder_died_goes_with_the_last_that_waits_for_it(steps: Steps, stores: Stores) -> None:
    one = await taken(steps, SHORT)
    await run_out(stores)
    await steps.detach(one.key, "c")
    assert await steps.renew(one, "h", LONG) is None


@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
async def test_names_that_look_like_queries_are_names(steps: Steps, text: str) -> None:
    await steps.attach(step(), "c")
    odd = step(text, kind=text, target=text, model=text, body={text: [text]}, created_at=now() - timedelta(days=1))
    await steps.attach(odd, text)
    made = await steps.attach(odd, "c2")
    assert made == odd.model_copy(update={"commands": (text, "c2"), "changes": 2})
    assert await steps.concerning(text) == [made]
    await steps.detach(text, "c2")
    (one,) = await steps.take(text, LONG, 1)
    assert (one.key, one.commands) == (text, (text,))
    assert await steps.renew(one, text, LONG) == one
    assert await steps.renew(one, "h", LONG) is None
    await steps.release(one, text)
    (again,) = await steps.take(text, LONG, 1)
    assert await steps.finish(again, text)
    assert [each.commands for each in await steps.take("h", LONG, MOST)] == [("c",)]


@pytest.mark.parametrize("wrong", NOT_TEXT, ids=str)
async def test_what_is_no_text_finds_and_changes_nothing(steps: Steps, wrong: str) -> None:
    one = await taken(steps)
    for key, command_id in ((wrong, "c"), (one.key, wrong), (wrong, wrong)):
        await given(steps.detach(key, command_id))
    assert not await given(steps.renew(one, wrong, LONG))
    assert not await given(steps.finish(one, wrong))
    await given(steps.release(one, wrong))
    assert not await given(steps.concerning(wrong))
    assert await steps.concerning("small") == [one]
    assert await steps.finish(one, "h")
