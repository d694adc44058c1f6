"""Pulling: one fetch however many want it, its bytes told to each of them, gone on with by whoever is left."""

import asyncio

import pytest

from contracts.commands import PullModel
from contracts.errors import BackendFailed
from contracts.public import ModelAvailable, ModelTagged
from tests.eventually import eventually
from tests.unit.workers.catalog.orders import ManagedBackend, Office, data, layer, names
from tests.unit.workers.scripted import ScriptedBackend, never, says

CUT = BackendFailed("backend_cut", "one cut the line.")
FULL = BackendFailed("disk_full", "one has no room for it.", retryable=False)


async def test_a_pull_ends_with_the_model_in_the_catalog_and_its_tags_set(office: Office, one: ManagedBackend) -> None:
    async with office.worker(one) as worker:
        command = await office.orders(worker, PullModel, tags=("fast",), description="For short answers.")
        ended = await office.ended(command)
    assert (ended.status, ended.targets, ended.results["one"].detail) == ("completed", ("one",), {"bytes": 100})
    (model,) = await office.models.all()
    assert (model.name, model.tags, model.description, model.available) == (
        "small",
        ("fast",),
        "For short answers.",
        True,
    )
    assert [type(event) for event in office.bus.published[:2]] == [ModelAvailable, ModelTagged]


async def test_its_stream_tells_bytes_and_ends_once(office: Office, one: ManagedBackend) -> None:
    async with office.worker(one) as worker:
        command = await office.orders(worker, PullModel)
        events = await office.told(command)
    assert names(events) == ["accepted", "progress", "progress", "completed"]
    assert data(events[0]) == {"command_id": command.command_id, "kind": "PullModel", "model": "small"}
    last = data(events[2])
    assert {name: last[name] for name in ("backend", "digest", "total", "completed", "all_total", "all_completed")} == {
        "backend": "one", "digest": "sha256:1", "total": 100, "completed": 100, "all_total": 100, "all_completed": 100,
    }  # fmt: skip
    assert [str(one.id).split("-")[1] for one in events] == ["0", "1", "2", "3"]


async def test_every_backend_of_the_pool_fetches_it(office: Office) -> None:
    one, two, other = ManagedBackend(name="one"), ManagedBackend(name="two"), ManagedBackend(name="gpu", pool="gpu")
    plain = ScriptedBackend(says(), name="plain")
    async with office.worker(one, two, other, plain) as worker:
        ended = await office.ended(await office.orders(worker, PullModel))
    assert (ended.targets, sorted(ended.results)) == (("one", "two"), ["one", "two"])
    assert not other.manager.pulls


async def test_commands_for_the_same_share_one_pull(office: Office, one: ManagedBackend) -> None:
    going = asyncio.Event()
    one.manager.scripts = [[layer(10), going.wait, layer(100)]]
    async with office.worker(one) as worker:
        first = await office.orders(worker, PullModel)
        await eventually(lambda: one.manager.pulls)
        second = await office.orders(worker, PullModel, model="small:latest")
        going.set()
        assert [(await office.ended(each)).status for each in (first, second)] == ["completed", "completed"]
    assert len(one.manager.pulls) == 1
    assert names(await office.told(second))[-1] == "completed"


async def test_a_cancel_lets_go_and_the_last_one_stops_the_pull(office: Office, one: ManagedBackend) -> None:
    one.manager.scripts = [[layer(10), never]]
    async with office.worker(one) as worker:
        first = await office.orders(worker, PullModel)
        second = await office.orders(worker, PullModel)
        await eventually(lambda: one.manager.pulls)
        await office.cancels(first)
        assert (await office.ended(first)).status == "cancelled"
        assert names(await office.told(first))[-1] == "cancelled"
        assert one.manager.closed == 0
        await office.cancels(second)
        await eventually(lambda: one.manager.closed == 1)
        assert not await office.steps.concerning("small")
    assert len(one.manager.pulls) == 1


async def test_a_pull_that_breaks_goes_on_as_long_as_bytes_come(office: Office, one: ManagedBackend) -> None:
    one.manager.scripts = [[layer(10), CUT], [layer(20), CUT], [layer(100)]]
    async with office.worker(one) as worker:
        ended = await office.ended(await office.orders(worker, PullModel))
    assert (ended.status, len(one.manager.pulls)) == ("completed", 3)


async def test_what_cannot_help_is_not_tried_again(office: Office, one: ManagedBackend) -> None:
    one.manager.scripts = [[layer(10), FULL]]
    async with office.worker(one) as worker:
        command = await office.orders(worker, PullModel)
        ended = await office.ended(command)
        last = (await office.told(command))[-1]
    assert ended.error is not None
    assert (ended.status, ended.error.code, len(one.manager.pulls)) == ("failed", "disk_full", 1)
    assert data(last) == {"code": "disk_full", "message": "one has no room for it.", "results": {"one": {}}}


async def test_a_registry_of_wrong_bytes_is_not_asked_for_ever(office: Office, one: ManagedBackend) -> None:
    wrong = BackendFailed("digest_mismatch", "one fetched bytes of another digest.")
    one.manager.scripts = [[layer(number), wrong] for number in range(10, 90)]
    async with office.worker(one) as worker:
        worker._stepping._performers["PullModel"].__self__._pauses = (0.0, 0.0)  # type: ignore[attr-defined]
        ended = await office.ended(await office.orders(worker, PullModel))
    assert ended.error is not None
    assert (ended.error.code, len(one.manager.pulls)) == ("digest_mismatch", 3)


async def test_where_some_fail_the_command_fails_and_says_who(office: Office) -> None:
    one, two = ManagedBackend(name="one"), ManagedBackend(name="two")
    two.manager.scripts = [[FULL]]
    async with office.worker(one, two) as worker:
        ended = await office.ended(await office.orders(worker, PullModel, tags=("fast",)))
    assert (ended.status, ended.results["one"].error, ended.results["two"].error is None) == ("failed", None, False)
    assert (await office.models.all())[0].tags == ("fast",)


async def test_another_worker_goes_on_when_one_dies(office: Office) -> None:
    one, same = ManagedBackend(name="one"), ManagedBackend(name="one")
    one.manager.scripts = [[layer(10), never]]
    dying = office.worker(one)
    await dying.__aenter__()
    command = await office.orders(dying, PullModel)
    await eventually(lambda: one.manager.pulls)
    dying._stepping._steps = _Dead()  # type: ignore[assignment]  # it renews and releases nothing any more
    async with office.worker(same) as living:
        living._stepping.wake()
        assert (await office.ended(command)).status == "completed"
        events = await office.told(command)
    await dying.__aexit__(None, None, None)
    assert names(events)[-1] == "completed"
    assert [str(each.id).split("-")[1] for each in events] == [str(number) for number in range(len(events))]


async def test_a_worker_that_stops_hands_its_pull_over_at_once(office: Office) -> None:
    one, same = ManagedBackend(name="one"), ManagedBackend(name="one")
    one.manager.scripts = [[layer(10), never]]
    async with office.worker(one, lease=3600.0) as stopping:
        command = await office.orders(stopping, PullModel)
        await eventually(lambda: one.manager.pulls)
    async with office.worker(same, lease=3600.0):
        assert (await office.ended(command)).status == "completed"


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"backends": ("nowhere",)}, "unknown_backend"),
        ({"backends": ("plain",)}, "not_manageable"),
        ({"pool": "empty"}, "no_backend"),
    ],
    ids=["unknown", "not managed", "empty pool"],
)
async def test_what_nobody_can_fetch_is_refused(office: Office, fields: dict[str, object], code: str) -> None:
    plain = ScriptedBackend(says(), name="plain")
    async with office.worker(plain) as worker:
        ended = await office.ended(await office.orders(worker, PullModel, **fields))
    assert ended.error is not None
    assert (ended.status, ended.error.code) == ("failed", code)


class _Dead:
    async def renew(self, *_: object) -> None:
        await never()

    async def release(self, *_: object) -> None:
        await never()

    async def take(self, *_: object) -> None:
        await never()
