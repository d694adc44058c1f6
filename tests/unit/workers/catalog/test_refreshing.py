"""Catalog: given what back-ends say, what is kept and what is told."""

from collections.abc import AsyncGenerator, Sequence
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from contracts.commands import RefreshCatalog
from contracts.errors import BackendFailed, Unavailable
from contracts.public import ModelAvailable, ModelUnavailable
from contracts.records import BackendHealth, BackendModel, LoadedModel, Model
from infra.memory.reports import MemoryBackendReports
from infra.sqlite.database import SqliteDatabase
from infra.sqlite.leases import SqliteLeases
from infra.sqlite.models import SqliteModels
from tests.eventually import eventually
from tests.unit.workers.scripted import FixedRoster, KeepingBus, ScriptedBackend, delivery, says
from workers.catalog.refresh import Look, changed
from workers.catalog.refreshing import Refreshing

NOW = datetime.now(UTC)
DOWN = BackendFailed("backend_unreachable", "Nobody listens there.")


@pytest.fixture
async def database(tmp_path: Path) -> AsyncGenerator[SqliteDatabase, None]:
    async with SqliteDatabase(tmp_path / "data") as opened:
        yield opened


@pytest.fixture
def models(database: SqliteDatabase) -> SqliteModels:
    return SqliteModels(database)


def catalog(
    database: SqliteDatabase, bus: KeepingBus, *backends: ScriptedBackend, holder: str = "one", every: float = 60.0
) -> Refreshing:
    reports = MemoryBackendReports()
    roster = FixedRoster(*backends)
    return Refreshing(bus, SqliteModels(database), SqliteLeases(database), roster, reports, holder, every=every)


def small(**changes: str) -> ScriptedBackend:
    """A back-end that has the model `small`."""
    one = ScriptedBackend(says(), **changes)
    one.serves = ("small",)
    return one


async def refresh(one: Refreshing, backend: str | None = None) -> None:
    command = RefreshCatalog(backend=backend)
    await one.refresh_catalog(command, delivery(command))


class Resident(ScriptedBackend):
    """Tells what it has in memory, or fails to."""

    memory: LoadedModel | BackendFailed = DOWN

    async def loaded(self) -> Sequence[LoadedModel]:
        if isinstance(self.memory, BackendFailed):
            raise self.memory
        return (self.memory,)


async def test_what_is_in_memory_is_kept_and_who_does_not_tell_is_none_the_worse(
    database: SqliteDatabase, bus: KeepingBus, models: SqliteModels
) -> None:
    one, two = Resident(says(), name="one"), Resident(says(), name="two")
    one.memory = LoadedModel(name="small", size_bytes=5, expires_at=NOW)
    await refresh(catalog(database, bus, one, two))
    assert {seen.name: (seen.healthy, seen.loaded) for seen in await models.health()} == {
        "one": (True, (one.memory,)), "two": (True, ()),
    }  # fmt: skip


async def test_x_and_x_latest_are_one_model(database: SqliteDatabase, bus: KeepingBus, models: SqliteModels) -> None:
    one, two = small(name="one"), small(name="two", pool="gpu")
    one.serves, two.serves = ("small:latest", "large"), ("small",)
    await refresh(catalog(database, bus, one, two))
    kept = {model.name: [served.backend for served in model.served_by] for model in await models.all()}
    assert kept == {"large": ["one"], "small": ["one", "two"]}
    assert [served.pool for model in await models.all() if model.name == "small" for served in model.served_by] == [
        "default", "gpu",
    ]  # fmt: skip


async def test_changes_are_told_once(database: SqliteDatabase, bus: KeepingBus, models: SqliteModels) -> None:
    backend = small()
    working = catalog(database, bus, backend)
    await refresh(working)
    await refresh(working)
    assert [(type(one), one.subject) for one in bus.published] == [(ModelAvailable, "small")]
    backend.serves = ("large",)
    await refresh(working)
    told = [(type(one), one.subject) for one in bus.published[1:]]
    assert told == [(ModelAvailable, "large"), (ModelUnavailable, "small")]


async def test_a_model_that_is_gone_keeps_what_was_known(
    database: SqliteDatabase, bus: KeepingBus, models: SqliteModels
) -> None:
    backend = small()
    working = catalog(database, bus, backend)
    await refresh(working)
    backend.serves = ()
    await refresh(working)
    (gone,) = await models.all()
    assert not gone.available
    assert gone.known is not None
    assert gone.known.backend == "one"


async def test_a_backend_that_fails_once_keeps_its_models_and_loses_them_the_second_time(
    database: SqliteDatabase, bus: KeepingBus, models: SqliteModels
) -> None:
    backend = small()
    working = catalog(database, bus, backend)
    await refresh(working)
    backend.serves = DOWN
    await refresh(working)
    assert (await models.all())[0].available
    (health,) = await models.health()
    assert (health.healthy, health.error) == (False, "Nobody listens there.")
    await refresh(working)
    assert not (await models.all())[0].available
    backend.serves = ("small",)
    await refresh(working)
    assert (await models.all())[0].available
    assert (await models.health())[0].healthy


async def test_a_refresh_of_one_backend_leaves_the_others_alone(
    database: SqliteDatabase, bus: KeepingBus, models: SqliteModels
) -> None:
    one, two = small(name="one"), small(name="two")
    working = catalog(database, bus, one, two)
    await refresh(working)
    two.serves = ("small", "large")
    await refresh(working, "two")
    assert (one.asked, two.asked) == (1, 2)
    assert {model.name: len(model.served_by) for model in await models.all()} == {"large": 1, "small": 2}


async def test_news_that_could_not_be_published_are_told_later(database: SqliteDatabase) -> None:
    bus = KeepingBus(Unavailable("The broker is down."))
    working = catalog(database, bus, small())
    with pytest.raises(Unavailable):
        await refresh(working)
    await refresh(working)
    assert [one.subject for one in bus.published] == ["small"]


async def test_of_several_catalog_workers_one_asks(database: SqliteDatabase, bus: KeepingBus) -> None:
    first, second = small(), small()
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(catalog(database, bus, first, holder="first", every=0.2))
        await eventually(lambda: first.asked > 0)
        await stack.enter_async_context(catalog(database, bus, second, holder="second", every=0.2))
        seen = first.asked
        await eventually(lambda: first.asked > seen + 2)
        assert second.asked == 0


async def test_another_catalog_worker_goes_on_when_one_stops(database: SqliteDatabase, bus: KeepingBus) -> None:
    first, second = small(), small()
    async with catalog(database, bus, second, holder="second", every=0.02):
        await eventually(lambda: second.asked > 0)
        async with catalog(database, bus, first, holder="first", every=0.02):
            pass
        seen = second.asked
        await eventually(lambda: second.asked > seen)
    async with catalog(database, bus, first, holder="first", every=0.02):
        await eventually(lambda: first.asked > 0)


async def test_polling_goes_on_after_a_failure(database: SqliteDatabase) -> None:
    bus = KeepingBus(Unavailable("The broker is down."), RuntimeError("A surprise."))
    async with catalog(database, bus, small(), every=0.01):
        await eventually(lambda: bus.published)


def test_what_an_unconfigured_backend_served_is_gone() -> None:
    gone = BackendModel(name="small", backend="removed")
    known = Model(name="small", served_by=(gone,), known=gone, updated_at=NOW - timedelta(days=1))
    health = BackendHealth(name="one", kind="fake", pool="default", healthy=True, checked_at=NOW)
    (after,) = changed([known], [Look(health, ())], ["one"], NOW)
    assert (after.served_by, after.known) == ((), gone)
