"""What `ModelManagement` is: the same behaviour on the fake back-end and on a real Ollama that pulls from a registry."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from hashlib import sha256

import pytest

from contracts.commands import SamplingOptions, Turn
from contracts.errors import BackendFailed
from contracts.ids import new_id
from contracts.ports.backend import ChatRequest, Text
from contracts.ports.management import NewModel
from contracts.records import BackendSettings
from infra.backends.opening import opened
from tests.contract.ports.backends import PATIENT
from tests.contract.ports.backends import whole as answer
from tests.contract.ports.managing import BUSY, Place, Weights, whole
from tests.eventually import eventually
from tests.servers.registry import Registry
from tests.servers.shared import free_port

on_fake = pytest.mark.parametrize("place", ["fake-ollama"], indirect=True)
on_real = pytest.mark.parametrize("place", ["ollama"], indirect=True)


@pytest.fixture(params=["fake-ollama", "ollama"])
async def place(request: pytest.FixtureRequest) -> AsyncGenerator[Place, None]:
    real = request.param == "ollama"
    url = request.getfixturevalue("ollama_url" if real else "fake_url")
    registry: Registry | None = request.getfixturevalue("registry") if real else None
    async with opened(BackendSettings(name="gpu-1", kind="ollama", url=url), allow_private=True) as backend:
        yield Place(request.param, url, backend, registry)


@pytest.fixture
async def model(place: Place) -> AsyncGenerator[str, None]:
    """A model of this test's own, made of one that the server has."""
    name = f"of/{new_id()}"
    await whole(place.management.create(NewModel(name=name, base="small"), patience=BUSY))
    yield name
    if name in await place.names():
        await place.management.delete(name)


async def test_a_pull_tells_each_layers_bytes_and_ends_when_the_model_is_there(place: Place) -> None:
    name = place.slow(new_id())
    said = await place.pull(name)
    assert said[0].status == "pulling manifest"
    assert said[-1].status == "success"
    layers = list(dict.fromkeys(one.digest for one in said if one.digest is not None))
    assert len(layers) > 2
    weights = [one for one in said if one.digest == layers[0]]
    assert weights[0].status == f"pulling {layers[0].removeprefix('sha256:')[:12]}"
    done = [one.completed or 0 for one in weights]
    assert done == sorted(done)
    assert len(set(done)) > 8
    assert done[-1] == weights[-1].total
    assert name in await place.names()
    await place.management.delete(name)


async def test_closing_in_mid_pull_stops_it_and_pulling_again_goes_on_from_there(place: Place) -> None:
    name = place.slow(new_id())
    async with aclosing(place.management.pull(name, insecure=True, patience=BUSY)) as told:
        async for one in told:
            if one.total and (one.completed or 0) > one.total / 4:
                break
    await stopped(place, name)
    assert name not in await place.names()
    said = await place.pull(name)
    again = next(one for one in said if one.digest is not None)
    assert (again.completed or 0) > (again.total or 0) / 8
    if place.registry is not None:
        digest, size = place.registry.weights(name)
        first, second = place.registry.requests(digest)
        assert (first.first, second.first + second.sent) == (0, size)
        assert size / 8 < second.first <= first.sent < size
    await place.management.delete(name)


async def stopped(place: Place, name: str) -> None:
    """The server has noticed that its caller is gone, and fetches nothing more."""

    async def noticed() -> bool:
        if place.registry is None:
            return [one["ended"] for one in await place.calls(name)] == ["client_closed"]
        digest, _ = place.registry.weights(name)
        return all(one.ended_at is not None for one in place.registry.requests(digest))

    await eventually(noticed, seconds=5)


async def test_cancelling_the_reader_stops_the_pull(place: Place) -> None:
    name = place.slow(new_id())
    heard = asyncio.Event()

    async def read() -> None:
        async with aclosing(place.management.pull(name, insecure=True, patience=BUSY)) as told:
            async for one in told:
                if one.completed:
                    heard.set()

    reading = asyncio.create_task(read())
    async with asyncio.timeout(BUSY):
        await heard.wait()
    reading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reading
    await stopped(place, name)
    assert name not in await place.names()


async def test_what_is_there_is_pulled_at_once(place: Place) -> None:
    name = place.model(new_id())
    await place.pull(name)
    said = await place.pull(name)
    layers = [one for one in said if one.digest is not None]
    assert layers
    assert all(one.completed == one.total for one in layers)
    await place.management.delete(name)


async def test_a_pulled_model_answers(place: Place) -> None:
    name = place.model(new_id())
    await place.pull(name)
    turns = (Turn(role="user", content="Hello?"),)
    options = SamplingOptions(max_tokens=2)
    asked = ChatRequest(name, turns, options, first_token_timeout=PATIENT, token_timeout=PATIENT)
    assert any(isinstance(piece, Text) for piece in (await answer(place.backend, asked)).pieces)
    await place.management.delete(name)


@on_real
async def test_a_card_names_the_digests_that_the_registry_has(place: Place) -> None:
    name = place.model(new_id())
    await place.pull(name)
    card = await place.management.card(name)
    assert place.registry is not None
    assert card.digest == sha256(place.registry.manifest(name)).hexdigest()
    assert card.layer == place.registry.weights(name)[0]
    assert (card.license or "").startswith("Apache License 2.0")
    await place.management.delete(name)


async def test_a_name_that_its_registry_does_not_have_is_no_model(place: Place) -> None:
    with pytest.raises(BackendFailed) as failed:
        await place.pull(place.model(new_id(), "nothing"))
    assert (failed.value.code, failed.value.retryable) == ("model_not_found", False)


async def test_a_layer_of_another_digest_is_not_kept(place: Place) -> None:
    name = place.model(new_id(), "wrong" if place.registry is not None else "pull-mismatch")
    with pytest.raises(BackendFailed) as failed:
        await place.pull(name)
    assert (failed.value.code, failed.value.retryable) == ("digest_mismatch", True)
    assert name not in await place.names()


async def test_a_registry_that_falls_silent_is_given_up(place: Place) -> None:
    name = place.model(new_id(), "silent" if place.registry is not None else "pull-repeat")
    with pytest.raises(BackendFailed) as failed:
        await place.pull(name, patience=1.5)
    assert (failed.value.code, failed.value.retryable) == ("pull_stalled", True)
    assert str(failed.value) == "gpu-1 told nothing new for 1.5 s."


@on_real
async def test_a_registry_without_tls_is_asked_only_when_told_so(place: Place) -> None:
    with pytest.raises(BackendFailed, match="TLS") as failed:
        await whole(place.management.pull(place.model(new_id()), patience=BUSY))
    assert (failed.value.code, failed.value.retryable) == ("backend_error", False)


@on_fake
@pytest.mark.parametrize(
    ("kind", "code", "retryable"),
    [
        ("pull-stall", "pull_stalled", True),
        ("pull-cut", "backend_cut", True),
        ("pull-end", "backend_cut", True),
        ("pull-garbage", "backend_garbage", True),
        ("pull-html", "backend_garbage", True),
        ("pull-error", "backend_error", True),
        ("pull-full", "disk_full", False),
        ("pull-refuse", "backend_error", True),
    ],
)
@pytest.mark.parametrize("call", ["pull", "create"])
async def test_a_failure_has_its_code(place: Place, kind: str, code: str, call: str, *, retryable: bool) -> None:
    name = place.model(new_id(), kind)
    patience = 0.5 if kind == "pull-stall" else BUSY
    managed = place.management
    made = managed.create(NewModel(name=name, base="small"), patience=patience)
    with pytest.raises(BackendFailed) as failed:
        await whole(managed.pull(name, patience=patience) if call == "pull" else made)
    assert (failed.value.code, failed.value.retryable) == (code, retryable)
    assert str(failed.value).startswith("gpu-1")
    assert name not in await place.names()

    async def noted() -> bool:
        (noticed,) = await place.calls(name)
        return noticed["ended"] is not None

    await eventually(noted)


@on_fake
async def test_what_was_cut_goes_on_from_there(place: Place) -> None:
    name = place.model(new_id(), "pull-frail")
    with pytest.raises(BackendFailed) as failed:
        await place.pull(name)
    assert failed.value.code == "backend_cut"
    again = next(one for one in await place.pull(name) if one.digest is not None)
    assert again.completed
    assert name in await place.names()


async def test_a_model_is_made_of_a_blob(place: Place) -> None:
    name, weights = f"of/{new_id()}", Weights.called(new_id())
    assert not await place.management.has_blob(weights.digest)
    await place.management.push_blob(weights.digest, weights.size, weights.pieces())
    assert await place.management.has_blob(weights.digest)
    new = NewModel(
        name=name,
        files={"model.gguf": weights.digest},
        system="You are brief.",
        license=("MIT", "and more"),
        parameters={"num_ctx": 1024, "stop": ["END"]},
        messages=({"role": "user", "content": "Hello?"},),
    )
    said = await whole(place.management.create(new, patience=BUSY))
    assert said[-1].status == "success"
    card = await place.management.card(name)
    assert (card.name, card.layer, card.license) == (name, weights.digest, "MIT\nand more")
    assert "chat" in card.capabilities
    await place.management.delete(name)


async def test_a_blob_that_is_there_is_not_read_again(place: Place) -> None:
    content = new_id().encode()
    digest = f"sha256:{sha256(content).hexdigest()}"

    async def once() -> AsyncIterator[bytes]:
        yield content

    pieces = once()
    for _ in range(2):
        await place.management.push_blob(digest, len(content), pieces)
    assert await place.management.has_blob(digest)


@pytest.mark.parametrize("size", [0, 3, 5], ids=["none", "fewer", "more"])
async def test_a_blob_of_another_size_is_refused(place: Place, size: int) -> None:
    async def four() -> AsyncIterator[bytes]:
        yield b"ab"
        yield b"cd"

    digest = f"sha256:{sha256(new_id().encode()).hexdigest()}"
    with pytest.raises(BackendFailed) as failed:
        await place.management.push_blob(digest, size, four())
    assert failed.value.code == "digest_mismatch"
    assert not await place.management.has_blob(digest)


async def test_a_blob_of_another_digest_is_refused(place: Place) -> None:
    async def pieces() -> AsyncIterator[bytes]:
        yield b"abcd"

    digest = f"sha256:{sha256(new_id().encode()).hexdigest()}"
    with pytest.raises(BackendFailed) as failed:
        await place.management.push_blob(digest, 4, pieces())
    assert (failed.value.code, failed.value.retryable) == ("digest_mismatch", True)
    assert not await place.management.has_blob(digest)


async def test_what_breaks_while_a_blob_is_read_is_told_as_it_is(place: Place) -> None:
    async def breaking() -> AsyncIterator[bytes]:
        yield b"ab"
        raise PermissionError("the file is not ours")

    digest = f"sha256:{sha256(new_id().encode()).hexdigest()}"
    with pytest.raises(PermissionError, match="the file is not ours"):
        await place.management.push_blob(digest, 4, breaking())


async def test_a_model_is_made_of_another_one(place: Place, model: str) -> None:
    card, base = await place.management.card(model), await place.management.card("small")
    assert card.layer == base.layer is not None
    assert model in await place.names()
    assert card.digest in {one.digest for one in await place.backend.models() if one.name == model}


async def test_nothing_is_pulled_to_make_a_model_of_it(place: Place) -> None:
    new = NewModel(name=f"of/{new_id()}", base=f"of/{new_id()}")
    with pytest.raises(BackendFailed) as failed:
        await whole(place.management.create(new))
    assert (failed.value.code, failed.value.retryable) == ("model_not_found", False)


async def test_a_copy_is_the_same_model_until_it_is_deleted(place: Place, model: str) -> None:
    copy = f"of/{new_id()}:v2"
    await place.management.copy(model, copy)
    assert {model, copy} <= await place.names()
    first, second = [await place.management.card(one) for one in (model, copy)]
    assert (first.digest, first.layer) == (second.digest, second.layer)
    await place.management.delete(copy)
    names = await place.names()
    assert (model in names, copy in names) == (True, False)
    assert (await place.management.card(model)).layer == first.layer


async def test_a_model_that_it_does_not_have_is_not_found(place: Place) -> None:
    absent = f"of/{new_id()}"
    for call in (
        place.management.card(absent),
        place.management.delete(absent),
        place.management.copy(absent, f"of/{new_id()}"),
    ):
        with pytest.raises(BackendFailed, match=absent) as failed:
            await call
        assert (failed.value.code, failed.value.retryable) == ("model_not_found", False)


async def test_a_version_is_told(place: Place) -> None:
    assert (await place.management.version()).startswith("0.")


async def test_a_server_that_is_down_is_unreachable() -> None:
    settings = BackendSettings(name="gone", kind="ollama", url=f"http://127.0.0.1:{free_port()}")

    async def piece() -> AsyncIterator[bytes]:
        yield b"a"

    async with opened(settings, allow_private=True) as backend:
        gone = backend.management
        assert gone is not None
        for call in (
            whole(gone.pull("small")),
            whole(gone.create(NewModel(name="new", base="small"))),
            gone.has_blob("sha256:1"),
            gone.push_blob("sha256:1", 1, piece()),
            gone.copy("a", "b"),
            gone.delete("a"),
            gone.card("a"),
            gone.version(),
        ):
            with pytest.raises(BackendFailed) as failed:
                await call
            assert (failed.value.code, failed.value.retryable) == ("backend_unreachable", True)


async def test_servers_of_the_other_kind_manage_no_models() -> None:
    async with opened(
        BackendSettings(name="vllm", kind="openai", url="http://127.0.0.1:1/v1"), allow_private=True
    ) as backend:
        assert backend.management is None
