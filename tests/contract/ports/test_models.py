"""What every `Models` does. The suite is the port's definition."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from contracts.ports.stores import Models
from contracts.records import Alias, BackendHealth, BackendModel, Model, ModelChanges, Verification
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


# What back-ends tell, and what administrators change


def verification(backend: str, *, works: bool = True, seconds: int = 0) -> Verification:
    return Verification(backend=backend, works=works, at=now() + timedelta(seconds=seconds))


async def only(models: Models) -> Model:
    (found,) = await models.all()
    return found


async def test_what_back_ends_tell_changes_nothing_else(models: Models) -> None:
    mine = {"description": "Mine 🦙", "license": "MIT", "tags": ("b", "a"), "retired": True, "verified_at": now()}
    kept = model("a", **mine, verifications=(verification("one"),))
    await models.put([kept])
    other = BackendModel(name="a", backend="two", digest="sha256:1")
    later = now() + timedelta(seconds=1)
    await models.note_serving([model("a", served_by=(other,), known=other, tags=("told",), updated_at=later)])
    assert await only(models) == kept.model_copy(update={"served_by": (other,), "known": other, "updated_at": later})


async def test_a_model_that_nobody_knew_is_inserted_as_it_is_told(models: Models) -> None:
    told = [model("a", description="First"), model("b", known=None, served_by=())]
    await models.note_serving(told)
    await models.note_serving([])
    assert list(await models.all()) == told


async def test_a_model_that_nobody_serves_any_more_keeps_what_was_known(models: Models) -> None:
    await models.put([model("a")])
    kept = await only(models)
    await models.note_serving([kept.model_copy(update={"served_by": ()})])
    assert await only(models) == kept.model_copy(update={"served_by": ()})
    await models.note_serving([kept.model_copy(update={"served_by": (), "known": None})])
    assert (await only(models)).known is None


@pytest.mark.parametrize(
    "changes",
    [
        {"description": "New"},
        {"description": ""},
        {"license": "Apache-2.0"},
        {"license": None},
        {"tags": ("z", "a")},
        {"tags": ()},
        {"retired": True},
        {"verified_at": datetime(2026, 1, 1, tzinfo=UTC)},
        {"verified_at": None},
        {"description": "Both", "tags": ("one",)},
        {},
    ],
    ids=lambda changes: "+".join(f"{name}={'none' if not value else 'some'}" for name, value in changes.items()) or "nothing",
)  # fmt: skip
async def test_only_the_fields_that_are_set_change(models: Models, changes: dict[str, object]) -> None:
    put = model("a", description="Old", license="MIT", verified_at=now(), verifications=(verification("one"),))
    await models.put([put, model("b")])
    later = now() + timedelta(seconds=1)
    amended = await models.amend("a", ModelChanges.model_validate(changes), later)
    assert amended == put.model_copy(update={**changes, "updated_at": later})
    assert list(await models.all()) == [amended, (await models.all())[1]]
    assert (await models.all())[1].description == ""


async def test_what_nobody_knows_cannot_be_amended(models: Models) -> None:
    assert await models.amend("a", ModelChanges(tags=("x",)), now()) is None
    assert list(await models.all()) == []


async def test_texts_that_look_like_expressions_are_kept_as_texts(models: Models) -> None:
    for text in HOSTILE:
        await models.put([model(text)])
        changes = ModelChanges(
            description=text, license=text, tags=HOSTILE, verifications=(verification(text, works=False),)
        )
        amended = await models.amend(text, changes, now())
        assert amended is not None
        assert (amended.name, amended.description, amended.license, amended.tags) == (text, text, text, HOSTILE)
        assert [one.backend for one in amended.verifications] == [text]
        assert await models.remove(text)


async def test_a_verification_takes_the_place_of_an_older_one_of_its_back_end(models: Models) -> None:
    await models.put([model("a")])
    first, other, second = verification("one"), verification("two"), verification("one", works=False, seconds=5)
    for one in (first, other, second, first):  # the last one comes too late
        await models.amend("a", ModelChanges(verifications=(one,)), now())
    assert sorted((await only(models)).verifications, key=lambda one: one.backend) == [second, other]
    await models.amend("a", ModelChanges(verifications=()), now())
    assert (await only(models)).verifications == ()


async def test_callers_at_the_same_time_undo_nothing_of_each_other(models: Models) -> None:
    await models.put([model("a", tags=())])
    served = [BackendModel(name="a", backend=f"b{number}") for number in range(10)]
    tries = [verification(f"v{number}") for number in range(10)]
    async with asyncio.TaskGroup() as group:
        for number in range(10):
            told = model("a", served_by=served[: number + 1], known=served[0], tags=("told",), description="Told")
            group.create_task(models.note_serving([told]))
            group.create_task(models.amend("a", ModelChanges(verifications=(tries[number],)), now()))
        group.create_task(models.amend("a", ModelChanges(tags=("mine",)), now()))
        group.create_task(models.amend("a", ModelChanges(description="Mine"), now()))
    found = await only(models)
    assert (found.tags, found.description) == (("mine",), "Mine")
    assert {one.backend for one in found.verifications} == {one.backend for one in tries}
    assert found.known == served[0]
    assert found.served_by in [tuple(served[: number + 1]) for number in range(10)]


async def test_models_that_several_insert_at_once_are_there_once(models: Models) -> None:
    async with asyncio.TaskGroup() as group:
        for _ in range(10):
            group.create_task(models.note_serving([model("a"), model("b"), model("c")]))
    assert [one.name for one in await models.all()] == ["a", "b", "c"]


async def test_a_model_is_forgotten_once(models: Models) -> None:
    await models.put([model("a"), model("b")])
    assert await models.remove("a")
    assert not await models.remove("a")
    assert [one.name for one in await models.all()] == ["b"]
    assert await models.amend("a", ModelChanges(description="Gone"), now()) is None


# Aliases


async def test_aliases_are_read_as_they_were_put_and_replaced_by_name(models: Models) -> None:
    assert list(await models.aliases()) == []
    second, first = (Alias(name=name, model="smol:135m", updated_at=now()) for name in ("chat-default", "a"))
    await models.put_alias(second)
    await models.put_alias(first)
    assert list(await models.aliases()) == [first, second]
    moved = Alias(name="a", model="llama3.2:1b", updated_at=now() + timedelta(seconds=1))
    await models.put_alias(moved)
    assert list(await models.aliases()) == [moved, second]
    assert list(await models.all()) == []


async def test_an_alias_is_removed_once_and_its_model_stays(models: Models) -> None:
    await models.put([model("a")])
    await models.put_alias(Alias(name="b", model="a", updated_at=now()))
    assert not await models.remove_alias("a")
    assert await models.remove_alias("b")
    assert not await models.remove_alias("b")
    assert [one.name for one in await models.all()] == ["a"]


async def test_aliases_that_look_like_queries_are_names(models: Models) -> None:
    for name in HOSTILE:
        await models.put_alias(Alias(name=name, model=name, updated_at=now()))
    assert {one.name: one.model for one in await models.aliases()} == {name: name for name in HOSTILE}
    assert [await models.remove_alias(name) for name in HOSTILE] == [True] * len(HOSTILE)


# Health


async def test_health_of_back_ends_that_are_gone_is_forgotten(models: Models) -> None:
    await models.put_health([health(name) for name in ("one", "two", "three", *HOSTILE)])
    await models.keep_health(["three", "one", "never seen"])
    assert [one.name for one in await models.health()] == ["one", "three"]
    await models.keep_health([])
    assert list(await models.health()) == []
