"""One edge's copy of the catalog."""

import asyncio
from collections.abc import Callable, Sequence
from datetime import UTC, datetime

import pytest

from api import explore
from api.errors import ModelRetired, ModelUnavailable
from api.explore import Explore, context_length_of, description_of, license_of, pool_of, status_of
from api.subscriptions import subscriptions
from contracts.errors import Unavailable, UnknownModel
from contracts.public import MODEL_EVENTS, ModelAvailable
from contracts.public import ModelUnavailable as ModelGone
from contracts.records import Model
from tests.eventually import eventually
from tests.unit.api.catalogs import Store, model, served
from tests.unit.workers.scripted import delivery


async def drop(copy: Explore, event: ModelAvailable | ModelGone | None = None) -> None:
    told = event or ModelAvailable(name="x", backends=("one",), at=datetime.now(UTC))
    await copy.drop(told, delivery(told))


@pytest.fixture
def later(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """`later(5)`: five seconds pass for the copy."""
    at = [100.0]

    class Clock:
        monotonic = staticmethod(lambda: at[0])

    monkeypatch.setattr(explore, "time", Clock)

    def pass_by(seconds: float) -> None:
        at[0] += seconds

    return pass_by


async def test_the_store_is_read_once_until_an_event() -> None:
    store = Store("x")
    copy = Explore(store)
    for _ in range(3):
        assert list(await copy.models()) == ["x"]
    assert store.reads == 1
    store.names.append("y")
    await drop(copy)
    assert list(await copy.models()) == ["x", "y"]
    store.names.remove("x")
    await drop(copy, ModelGone(name="x", at=datetime.now(UTC)))
    assert list(await copy.models()) == ["y"]
    assert store.reads == 3


async def test_a_hundred_readers_at_once_read_the_store_once() -> None:
    store = Store("x")
    store.gate = asyncio.Event()
    copy = Explore(store)
    readers = [asyncio.create_task(copy.models()) for _ in range(100)]
    await eventually(lambda: store.reads == 1)
    store.gate.set()
    assert {tuple(one) for one in await asyncio.gather(*readers)} == {("x",)}
    assert store.reads == 1


async def test_an_event_during_a_read_is_not_lost() -> None:
    store = Store("x")
    store.gate = asyncio.Event()
    copy = Explore(store)
    reader = asyncio.create_task(copy.models())
    await eventually(lambda: store.reads == 1)
    store.names.append("y")  # after the store had answered, before the copy has it
    await drop(copy)
    store.gate.set()
    await reader
    assert list(await copy.models()) == ["x", "y"]
    assert store.reads == 2


async def test_a_reader_that_gives_up_does_not_hold_the_others_up() -> None:
    store = Store("x")
    store.gate = asyncio.Event()
    copy = Explore(store)
    first, second = asyncio.create_task(copy.models()), asyncio.create_task(copy.models())
    await eventually(lambda: store.reads == 1)
    first.cancel()
    await asyncio.gather(first, return_exceptions=True)
    store.gate.set()
    assert list(await second) == ["x"]


async def test_without_an_event_it_is_read_again_after_five_seconds(later: Callable[[float], None]) -> None:
    store = Store("x")
    copy = Explore(store)
    await copy.models()
    later(4.9)
    await copy.models()
    assert store.reads == 1
    later(0.2)
    await copy.models()
    assert store.reads == 2


async def test_a_store_that_does_not_answer_leaves_what_is_known(later: Callable[[float], None]) -> None:
    store = Store("x")
    copy = Explore(store)
    await copy.models()
    await drop(copy)
    store.fails = [Unavailable("down")]
    for _ in range(3):
        assert list(await copy.models()) == ["x"]
    assert store.reads == 2
    store.names.append("y")
    later(1.1)
    assert list(await copy.models()) == ["x", "y"]


async def test_without_anything_known_it_says_that_the_store_is_down() -> None:
    store = Store("x")
    copy = Explore(store)
    store.fails = [Unavailable("down")]
    with pytest.raises(Unavailable):
        await copy.models()
    assert list(await copy.models()) == ["x"]


async def test_a_model_is_found_with_and_without_latest() -> None:
    copy = Explore(Store("x", "y:7b"))
    for name in ("x", "x:latest"):
        assert (await copy.available(name)).name == "x"
    for name in ("y", "y:7b:latest:latest", "X", "", ":latest"):
        with pytest.raises(UnknownModel):
            await copy.available(name)


async def test_a_model_that_nobody_serves_is_unavailable() -> None:
    class Asleep(Store):
        async def all(self) -> Sequence[Model]:
            return [model("x")]

    with pytest.raises(ModelUnavailable):
        await Explore(Asleep()).available("x")


def test_the_default_pool_answers_where_it_can() -> None:
    assert pool_of(model("x", served(pool="gpu"), served(pool="default"))) == "default"
    assert pool_of(model("x", served(pool="gpu"), served(pool="cpu"))) == "gpu"


def test_a_context_is_as_long_as_the_shortest_that_tells() -> None:
    assert context_length_of(model("x", served(context_length=8192), served(context_length=4096), served())) == 4096
    assert context_length_of(model("x", served())) is None


# Aliases and retired models


async def test_an_alias_leads_to_its_model_by_every_form_of_its_name() -> None:
    store = Store("x", "y:7b")
    store.named = {"default": "x:latest", "best:latest": "y:7b"}
    copy = Explore(store)
    for name in ("default", "default:latest"):
        assert (await copy.available(name)).name == (await copy.chatting(name)).name == "x"
    assert (await copy.chatting("best")).name == "y:7b"
    assert list(await copy.models()) == ["x", "y:7b"]
    assert {name: one.alias_of for name, one in (await copy.choices()).items()} == {
        "best": "y:7b", "default": "x", "x": None, "y:7b": None
    }  # fmt: skip
    shown = (await copy.find("default")).shown
    assert (shown.name, shown.served_by) == ("default", (await copy.available("x")).served_by)


async def test_an_alias_is_followed_for_one_step() -> None:
    store = Store("x")
    store.named = {"second": "first", "first": "x", "own": "own"}
    copy = Explore(store)
    for name in ("second", "own"):
        with pytest.raises(ModelUnavailable):
            await copy.available(name)
        choice = await copy.find(name)
        assert (choice.model, status_of(choice.shown), choice.listed) == (None, "unavailable", False)


async def test_a_model_wins_over_an_alias_of_its_name() -> None:
    store = Store("x", "y")
    store.named = {"x": "y"}
    copy = Explore(store)
    assert (await copy.available("x")).name == "x"
    assert (await copy.find("x")).alias_of is None
    store.names.remove("x")
    await drop(copy, ModelGone(name="x", at=datetime.now(UTC)))
    assert (await copy.available("x")).name == "y"


class Retired(Store):
    async def all(self) -> Sequence[Model]:
        return [one.model_copy(update={"retired": True}) for one in await super().all()]


async def test_nobody_asks_a_retired_model_by_any_name() -> None:
    store = Retired("x")
    store.named = {"default": "x"}
    copy = Explore(store)
    for name in ("x", "x:latest", "default"):
        with pytest.raises(ModelRetired, match="retired by an administrator"):
            await copy.available(name)
        choice = await copy.find(name, retired=True)
        assert (status_of(choice.shown), choice.listed) == ("retired", False)


async def test_every_event_about_models_drops_the_copy() -> None:
    (models,) = subscriptions(Explore(Store()), "edge")
    assert models.messages == MODEL_EVENTS
    assert len(MODEL_EVENTS) == 8


async def test_after_the_bus_was_away_the_store_is_read_again() -> None:
    store = Store("x")
    copy = Explore(store)
    (models,) = subscriptions(copy, "edge")
    await copy.models()
    store.names.append("y")
    assert models.resumed is not None
    models.resumed()
    assert list(await copy.models()) == ["x", "y"]


def test_what_administrators_wrote_stands_before_what_back_ends_tell() -> None:
    told = served(description="Told", license="MIT")
    assert (description_of(model("x", told)), license_of(model("x", told))) == ("Told", "MIT")
    own = model("x", served()).model_copy(update={"description": "Own", "license": "Own", "known": told})
    assert (description_of(own), license_of(own)) == ("Own", "Own")
    known = model("x").model_copy(update={"known": told})
    assert (description_of(known), license_of(known)) == ("Told", "MIT")
    assert (description_of(model("x")), license_of(model("x"))) == ("", None)
