"""`Backend.embed`: the same behaviour of every adapter."""

import asyncio
import math
from collections.abc import AsyncGenerator

import pytest

from contracts.embeddings import Vectors, unpacked
from contracts.errors import BackendFailed
from contracts.ids import new_id
from contracts.ports.backend import EmbedRequest
from contracts.records import BackendSettings
from infra.backends.opening import opened
from infra.fake.embedding import DIMENSIONS, vector
from tests.contract.ports.backends import FAKES, Server, settings_of
from tests.eventually import eventually
from tests.servers.ollama import NARROW_CONTEXT
from tests.servers.shared import free_port

TEXTS = ("The sea.", "Ωραία! 火星 🔴", "x")


@pytest.fixture(params=FAKES)
async def server(request: pytest.FixtureRequest) -> AsyncGenerator[Server, None]:
    settings, _ = settings_of(request.param, request)
    async with opened(settings, allow_private=True) as backend:
        yield Server(request.param, settings.url, "embed", backend)


async def embedded(server: Server, *texts: str, **fields: object) -> Vectors:
    given = {"model": server.model, "texts": texts or TEXTS, "timeout": 60.0}
    return await server.backend.embed(EmbedRequest(**{**given, **fields}))  # type: ignore[arg-type]


async def test_each_text_has_its_vector_in_their_order(server: Server) -> None:
    found = await embedded(server)
    assert [unpacked(one) for one in found] == [vector(one) for one in TEXTS]
    assert (len(found), found.dimensions, found.input_tokens) == (3, DIMENSIONS, 6)
    assert all(abs(math.hypot(*unpacked(one)) - 1) < 1e-6 for one in found)


async def test_fewer_dimensions_are_given_where_asked_for(server: Server) -> None:
    found = await embedded(server, "x", dimensions=8)
    assert (found.dimensions, len(found.packed)) == (8, 32)


async def test_dimensions_that_it_cannot_give_are_an_error_for_good(server: Server) -> None:
    with pytest.raises(BackendFailed) as failed:
        await embedded(server, "x", dimensions=DIMENSIONS * 2)
    assert (failed.value.code, failed.value.retryable) == ("dimensions_unsupported", False)
    assert str(DIMENSIONS) in str(failed.value)


@pytest.mark.parametrize(
    ("model", "code", "retryable"),
    [
        ("small", "model_cannot_embed", False),
        ("no-such-model", "backend_error", False),
        ("down", "backend_error", True),
        ("refuse", "backend_error", False),
        ("cut", "backend_cut", True),
        ("garbage", "backend_garbage", True),
        ("silent", "generation_timeout", True),
    ],
)
async def test_a_failure_has_its_code(server: Server, model: str, code: str, *, retryable: bool) -> None:
    with pytest.raises(BackendFailed) as failed:
        await embedded(server, model=model, timeout=0.3 if model == "silent" else 20.0)
    told = failed.value
    if model == "cut":  # before or after the head of the answer
        assert told.code in ("backend_cut", "backend_unreachable")
    else:
        assert told.code == code
    assert told.retryable == retryable


async def test_what_failed_once_may_succeed_the_next_time(server: Server) -> None:
    words = new_id()
    with pytest.raises(BackendFailed) as failed:
        await embedded(server, words, model="flaky")
    assert failed.value.retryable
    assert len(await embedded(server, words, model="flaky")) == 1


async def test_cancelling_closes_the_connection(server: Server) -> None:
    words = new_id()
    asking = asyncio.create_task(embedded(server, words, model="silent"))
    await eventually(lambda: server.call(words))
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking

    async def noticed() -> bool:
        return (await server.call(words))["ended"] == "client_closed"

    await eventually(noticed, seconds=2)


@pytest.mark.parametrize("kind", ["ollama", "openai"])
async def test_a_server_that_is_down_is_unreachable_and_worth_another_try(kind: str) -> None:
    settings = BackendSettings(name="gone", kind=kind, url=f"http://127.0.0.1:{free_port()}")  # type: ignore[arg-type]
    async with opened(settings, allow_private=True) as backend:
        with pytest.raises(BackendFailed) as failed:
            await backend.embed(EmbedRequest("embed", ("x",)))
    assert (failed.value.code, failed.value.retryable) == ("backend_unreachable", True)


async def test_a_model_that_only_embeds_is_listed_so_and_does_not_chat(server: Server) -> None:
    listed = {one.name: one.capabilities for one in await server.backend.models()}
    assert "embed" in listed
    if server.name == "fake-ollama":
        assert listed["embed"] == ("embedding",)
    with pytest.raises(BackendFailed) as failed:
        await server.answer("Hello?")
    assert (failed.value.code, failed.value.retryable) == ("backend_error", False)


@pytest.fixture(params=["ollama"])
async def real(request: pytest.FixtureRequest) -> AsyncGenerator[Server, None]:
    settings, model = settings_of(request.param, request)
    async with opened(settings, allow_private=True) as backend:
        yield Server(request.param, settings.url, model, backend)


async def test_a_real_model_gives_the_same_text_the_same_vector(real: Server) -> None:
    """A small model's vectors say little; but they are there, whole, of one length, and those of other texts are others."""
    found = await embedded(real, "The sea is blue.", "The sea is blue.", "Ωραία! 火星 🔴")
    one, same, other = (unpacked(vector) for vector in found)
    assert found.dimensions == len(one) > 64
    assert math.dist(one, same) < 0.01 < math.dist(one, other)
    assert found.input_tokens > 6


async def test_a_real_server_without_that_model(real: Server) -> None:
    with pytest.raises(BackendFailed) as failed:
        await embedded(real, "x", model="no-such-model")
    assert (failed.value.code, failed.value.retryable) == ("backend_error", False)


async def test_a_text_too_long_for_a_real_model_is_cut_or_refused(real: Server) -> None:
    await real.backend.models()  # from which it knows how long a context this model was made with
    long = "word " * (NARROW_CONTEXT + 50)
    assert len(await embedded(real, long, model="narrow", truncate=True)) == 1
    with pytest.raises(BackendFailed) as failed:
        await embedded(real, long, model="narrow")
    assert (failed.value.code, failed.value.retryable) == ("context_too_long", False)


async def test_the_small_model_says_that_it_cannot(request: pytest.FixtureRequest) -> None:
    settings, model = settings_of("small-model", request)
    async with opened(settings, allow_private=True) as backend:
        with pytest.raises(BackendFailed) as failed:
            await backend.embed(EmbedRequest(model, ("The sea.",), timeout=20.0))
    assert (failed.value.code, failed.value.retryable) == ("model_cannot_embed", False)
