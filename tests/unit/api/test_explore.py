"""One edge's copy of the catalog."""

import asyncio
from collections.abc import Callable, Sequence
from datetime import UTC, datetime

import pytest

from api import explore
from api.errors import ModelUnavailable
from api.explore import Explore, context_length_of, pool_of
from contracts.errors import Unavailable, UnknownModel
from contracts.public import ModelAvailable
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
