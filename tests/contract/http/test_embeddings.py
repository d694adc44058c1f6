"""Texts as vectors at the edge, in OpenAI's format and Ollama's."""

import asyncio
import base64
import json
from array import array
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from api import embedding
from contracts.commands import EmbedTexts
from contracts.embeddings import Vectors, packed
from contracts.errors import BackendFailed, ContractViolated, Overloaded, Unavailable, Unroutable
from contracts.records import BackendModel, DeadLetter
from tests.contract.http.conftest import StartWorld
from tests.contract.http.test_openai import refusal
from tests.contract.http.wire import Line
from tests.contract.http.worlds import Person, World
from tests.eventually import eventually
from tests.factories import embed_texts
from tests.unit.workers.scripted import ScriptedBackend, never

OPENAI, OLLAMA = "/v1/embeddings", "/ollama/api/embed"
BOTH = pytest.mark.parametrize("path", [OPENAI, OLLAMA], ids=["openai", "ollama"])


def asks(**more: object) -> dict[str, object]:
    return {"model": "small", "input": "The sea.", **more}


def error_of(response: httpx.Response) -> str:
    """Ollama's error, in its shape and nothing else."""
    body = response.json()
    assert set(body) == {"error"}
    return body["error"]


async def answered(world: World, person: Person, path: str, body: dict[str, object], *embeds: Any) -> httpx.Response:
    """By a worker whose next calls to its back-end end so; for each text the back-end gives its length."""
    backend = ScriptedBackend()
    backend.serves = ("small", "embed", "nomic")
    backend.embeds = list(embeds)
    async with world.working(backend):
        return await person.http.post(path, json=body)


def command(world: World) -> EmbedTexts:
    (published,) = [one for one in world.bus.published if isinstance(one, EmbedTexts)]
    return published


# Answers


async def test_openai_numbers(world: World, person: Person) -> None:
    response = await answered(world, person, OPENAI, asks(input=["a", "bb", "é"], user="me"))
    assert response.status_code == 200, response.text
    assert response.headers["content-type"] == "application/json"
    assert response.json() == {
        "object": "list",
        "data": [
            {"object": "embedding", "index": number, "embedding": [length]}
            for number, length in enumerate((1.0, 2.0, 1.0))
        ],
        "model": "small",
        "usage": {"prompt_tokens": 3, "total_tokens": 3},
    }
    sent = command(world)
    assert (sent.owner, sent.model, sent.pool, sent.inputs) == (person.account.id, "small", "default", ("a", "bb", "é"))
    assert (sent.dimensions, sent.truncate) == (None, False)
    assert timedelta(seconds=50) < sent.deadline - datetime.now(UTC) <= timedelta(seconds=60)


async def test_openai_base64_is_little_endian_float32(world: World, person: Person) -> None:
    response = await answered(world, person, OPENAI, asks(encoding_format="base64", dimensions=3), 3)
    (one,) = response.json()["data"]
    raw = base64.b64decode(one["embedding"])
    assert raw == packed([8.0] * 3)
    assert command(world).dimensions == 3


async def test_ollama_numbers(world: World, person: Person) -> None:
    # as langchain-ollama sends it
    options = {"temperature": None, "stop": None, "mirostat": None, "top_k": 40, "num_ctx": 4096}
    body = asks(model="small:latest", input=["a", ""], options=options, keep_alive="5m", truncate=True, dimensions=0)
    response = await answered(world, person, OLLAMA, body)
    assert response.status_code == 200, response.text
    told = response.json()
    assert told.pop("total_duration") > 0
    assert told == {
        "model": "small:latest", "embeddings": [[1.0], [0.0]], "load_duration": 2_000_000, "prompt_eval_count": 2,
    }  # fmt: skip
    assert (command(world).truncate, command(world).dimensions) == (True, None)


@pytest.mark.parametrize("given", ["", [], None], ids=["empty", "none", "null"])
async def test_ollama_without_a_text_only_looks_for_the_model(world: World, person: Person, given: object) -> None:
    told = (await person.http.post(OLLAMA, json=asks(input=given))).json()
    assert (told["model"], told["embeddings"]) == ("small", [])
    missing = await person.http.post(OLLAMA, json=asks(input=given, model="nothing"))
    assert (missing.status_code, error_of(missing)) == (404, 'model "nothing" not found, try pulling it first')
    assert world.bus.published == []


async def test_truncating_may_be_forbidden(world: World, person: Person) -> None:
    await answered(world, person, OLLAMA, asks(truncate=False))
    assert command(world).truncate is False


async def test_thousands_of_numbers_arrive_whole(world: World, person: Person) -> None:
    texts = ["x" * (1 + number % 5) for number in range(2048)]
    response = await answered(world, person, OPENAI, asks(input=texts, encoding_format="base64"), *[512] * 32)
    data = response.json()["data"]
    assert [one["index"] for one in data] == list(range(2048))
    firsts = [array("f", base64.b64decode(one["embedding"])) for one in data]
    assert {len(one) for one in firsts} == {512}
    assert [one[0] for one in firsts] == [float(len(text)) for text in texts]


# Refusals


@BOTH
async def test_models_that_cannot_be_asked(world: World, person: Person, path: str) -> None:
    await world.serves("asleep", served_by=())
    for model, status in (("nothing", 404), ("asleep", 503)):
        response = await person.http.post(path, json=asks(model=model))
        assert response.status_code == status
        assert ("retry-after" in response.headers) == (status == 503)
    assert world.bus.published == []


async def test_a_model_that_only_embeds_embeds(world: World, person: Person) -> None:
    only = BackendModel(name="nomic", backend="one", capabilities=("embedding",))
    await world.serves("nomic", served_by=(only,), known=only)
    assert (await answered(world, person, OPENAI, asks(model="nomic"))).status_code == 200


@BOTH
@pytest.mark.parametrize(
    ("failure", "status", "code"),
    [
        (BackendFailed("model_cannot_embed", "This model cannot embed.", retryable=False), 400, "model_cannot_embed"),
        (BackendFailed("dimensions_unsupported", "Only 64.", retryable=False), 400, "dimensions_unsupported"),
        (BackendFailed("context_too_long", "Too long.", retryable=False), 400, "context_length_exceeded"),
        (BackendFailed("backend_error", "It fell over.", retryable=False), 502, "backend_error"),
    ],
    ids=["cannot", "dimensions", "too-long", "broken"],
)
async def test_a_failure_is_a_status(
    world: World, person: Person, path: str, failure: BackendFailed, status: int, code: str
) -> None:
    response = await answered(world, person, path, asks(), failure)
    if path == OPENAI:
        assert refusal(response, status, code)["message"] == str(failure)
        assert response.headers["x-should-retry"] == "false"
    else:
        assert (response.status_code, error_of(response)) == (status, str(failure))


@BOTH
async def test_what_does_not_answer_now_is_to_be_tried_again(world: World, person: Person, path: str) -> None:
    for error in (Unavailable("down"), Overloaded("full", 3000), Unroutable("nobody")):
        world.bus.fails[EmbedTexts] = error
        response = await person.http.post(path, json=asks())
        assert response.status_code == 503
        assert int(response.headers["retry-after"]) >= 1


async def test_a_pool_that_nobody_ever_served(world: World, person: Person) -> None:
    elsewhere = BackendModel(name="far", backend="two", pool="large")
    await world.serves("far", served_by=(elsewhere,), known=elsewhere)
    refusal(await person.http.post(OPENAI, json=asks(model="far")), 503, "no_worker")


@pytest.mark.parametrize(
    ("more", "code", "param"),
    [
        ({"input": [1, 2, 3]}, "invalid_value", "input"),
        ({"input": [[1, 2], [3]]}, "invalid_value", "input"),
        ({"input": ""}, "invalid_value", "input"),
        ({"input": []}, "invalid_value", "input"),
        ({"input": ["a", ""]}, "invalid_value", "input"),
        ({"input": ["a"] * 2049}, "invalid_value", "input"),
        ({"input": None}, "invalid_value", "input"),
        ({"input": "\ud800"}, "invalid_value", "input"),
        ({"dimensions": 0}, "invalid_value", "dimensions"),
        ({"encoding_format": "int8"}, "invalid_value", "encoding_format"),
        ({"input_type": "query"}, "unsupported_parameter", "input_type"),
    ],
    ids=["tokens", "token-lists", "empty", "none", "one-empty", "many", "null", "half-a-character", "dimensions", "format", "other"],
)  # fmt: skip
async def test_openai_refuses_by_name(
    world: World, person: Person, more: dict[str, object], code: str, param: str
) -> None:
    content = json.dumps(asks(**more)).encode()
    response = await person.http.post(OPENAI, content=content, headers={"Content-Type": "application/json"})
    error = refusal(response, 400, code)
    assert str(error["param"]).startswith(param)
    if isinstance(more.get("input"), list) and more["input"] and not isinstance(more["input"][0], str):  # type: ignore[index]
        assert "token arrays" in error["message"]
    assert world.bus.published == []


@pytest.mark.parametrize(
    ("more", "param"),
    [
        ({"input": [1]}, "/input"),
        ({"input": ["a"] * 2049}, "/input"),
        ({"dimensions": -1}, "/dimensions"),
        ({"prompt": "x"}, "prompt"),
        ({"options": {"num_ctx": 5000}}, "options.num_ctx"),
        ({"options": {"num_ctx": "many"}}, "/options/num_ctx"),
        ({"options": {"lora": "x"}}, "options.lora"),
    ],
    ids=["tokens", "many", "dimensions", "other", "context", "no-number", "options"],
)
async def test_ollama_refuses_by_name(world: World, person: Person, more: dict[str, object], param: str) -> None:
    response = await person.http.post(OLLAMA, json=asks(**more))
    assert response.status_code == 400
    assert param in error_of(response)
    assert world.bus.published == []


@BOTH
async def test_calls_are_counted_like_questions(start: StartWorld, path: str) -> None:
    world = await start(chats_per_minute=1)
    person = await world.person()
    await person.http.post(path, json=asks(model="nothing"))
    response = await person.http.post(path, json=asks())
    assert response.status_code == 429
    assert int(response.headers["retry-after"]) >= 1


@BOTH
async def test_vectors_that_do_not_come(
    world: World, person: Person, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(embedding, "WITHIN", 0.1)
    response = await person.http.post(path, json=asks())
    assert (response.status_code, "retry-after" in response.headers) == (504, True)


@BOTH
async def test_poison_is_told(world: World, person: Person, recording: None, path: str) -> None:
    """A handler that can never work: the letter's settling tells whoever waits."""
    backend = ScriptedBackend()
    async with world.working(backend):
        backend.embed = broken  # type: ignore[method-assign]
        response = await person.http.post(path, json=asks())
    assert response.status_code == 500
    letter = await eventually(lambda: only_letter(world))
    assert (letter.type, letter.owner) == (EmbedTexts.type, person.account.id)
    admin = await world.person(role="admin")
    replayed = await admin.http.post(f"/api/admin/dead-letters/{letter.id}/replay")
    assert (replayed.status_code, replayed.json()["code"]) == (409, "not_replayable")


async def broken(_: object) -> Vectors:
    raise ContractViolated("This can never be handled.")


async def only_letter(world: World) -> DeadLetter | None:
    letters = (await world.ports.dead_letters.page(10, None)).items
    return letters[0] if letters else None


# Leaving


@BOTH
async def test_who_hangs_up_waits_no_more_and_is_not_worked_for(world: World, person: Person, path: str) -> None:
    async with Line(world.url) as line:
        await line.asks("POST", path, person.headers, asks())
        await eventually(lambda: len(world.bus.published) == 1)
    sent = command(world)

    async def known() -> bool:
        return not await world.ports.embeddings.wanted(sent.embedding_id)

    await eventually(known)
    assert len(world.edge.streams) == 0
    backend = ScriptedBackend()
    async with world.working(backend):
        response = await person.http.post(path, json=asks(input="Another."))
    assert response.status_code == 200
    assert [one.texts for one in backend.embedded] == [("Another.",)]


@BOTH
async def test_an_edge_that_stops_says_so(world: World, person: Person, path: str) -> None:
    backend = ScriptedBackend()
    backend.embeds = [never]
    async with world.working(backend):
        asking = asyncio.create_task(person.http.post(path, json=asks()))
        await eventually(lambda: backend.running == 1)
        world.edge.streams.end_all()
        response = await asking
    assert (response.status_code, "retry-after" in response.headers) == (503, True)
    assert (await person.http.post(path, json=asks())).status_code == 503


def test_a_command_is_read_as_it_was_sent() -> None:
    sent = embed_texts("a", "b", dimensions=3, truncate=True)
    assert EmbedTexts.model_validate_json(sent.model_dump_json()) == sent
