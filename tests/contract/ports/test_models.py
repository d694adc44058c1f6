"""What every `Models` does. The suite is the port's definition."""

from datetime import timedelta

import pytest

from contracts.ports.stores import Models
from contracts.records import BackendHealth, BackendModel, Model
from tests.contract.ports.stores import HOSTILE, Stores, now


@pytest.fixture
def models(stores: Stores) -> Models:
    return stores.models


def model(name: str, **changes: object) -> Model:
    served = BackendModel(
        name=name, backend="one", digest="sha256:0", size_bytes=5_000_000_000, capabilities=("chat", "tools")
    )
    fields = {"name": name, "served_by": (served,), "known": served, "tags": ("small", "fast"), "updated_at": now()}
    return Model.model_validate({**fields, **changes})


def health(name: str, **changes: object) -> BackendHealth:
    fields = {"name": name, "kind": "ollama", "pool": "default", "healthy": True, "checked_at": now()}
    return BackendHealth.model_validate({**fields, **changes})


async def test_an_empty_catalog_is_empty(models: Models) -> None:
    await models.put([])
    await models.put_health([])
    assert list(await models.all()) == []
    assert list(await models.health()) == []


async def test_models_are_read_as_they_were_put_by_name(models: Models) -> None:
    put = [model("smol:135m"), model("llama3.2:1b", description="A llama 🦙"), model("bare", served_by=(), known=None)]
    await models.put(put)
    assert list(await models.all()) == sorted(put, key=lambda one: one.name)


async def test_a_model_is_replaced_whole_by_name(models: Models) -> None:
    await models.put([model("a", description="old", verified_at=now()), model("b")])
    fresh = model("a", served_by=(), tags=(), updated_at=now() + timedelta(seconds=1))
    await models.put([fresh])
    found = {one.name: one for one in await models.all()}
    assert found["a"] == fresh
    assert not found["a"].available
    assert set(found) == {"a", "b"}


async def test_the_last_one_of_a_name_stays(models: Models) -> None:
    await models.put([model("a", description="first"), model("a", description="second")])
    assert [one.description for one in await models.all()] == ["second"]


async def test_names_that_look_like_queries_are_names(models: Models) -> None:
    put = [model(name, tags=HOSTILE, description=name) for name in HOSTILE]
    await models.put(put)
    await models.put(put)
    assert {one.name: one for one in await models.all()} == {one.name: one for one in put}


async def test_a_size_beyond_all_numbers_keeps_no_model_off_the_list(models: Models) -> None:
    absurd = BackendModel(name="a", backend="one", size_bytes=1 << 80, context_length=-(1 << 80))
    await models.put([model("a", served_by=(absurd,), known=absurd), model("b")])
    assert [one.name for one in await models.all()] == ["a", "b"]
    size = next(iter(await models.all())).served_by[0].size_bytes
    assert size is not None
    assert size > 1 << 60


async def test_health_is_read_as_it_was_put_and_replaced_by_name(models: Models) -> None:
    await models.put_health([health("two"), health("one")])
    sick = health("one", healthy=False, error="It does not answer: $where 🦙", checked_at=now() + timedelta(seconds=5))
    await models.put_health([sick])
    assert list(await models.health()) == [sick, next(one for one in await models.health() if one.name == "two")]
    assert list(await models.all()) == []
