"""Texts as vectors, as a program gets them from running processes."""

import asyncio
import base64
import urllib.request
from array import array

import httpx
import pytest

from infra.fake.embedding import vector
from tests.e2e.client import Person
from tests.e2e.compositions import Platform
from tests.eventually import eventually

TEXTS = ["The sea.", "Ωραία! 火星 🔴", "x"]


async def embedded(person: Person, path: str, *, edge: int = 0, model: str = "embed", **more: object) -> httpx.Response:
    return await person.edge(edge).post(path, json={"model": model, "input": TEXTS, **more})


async def test_texts_become_vectors_in_either_format_on_any_edge(person: Person) -> None:
    numbers = (await embedded(person, "/v1/embeddings", dimensions=16)).json()
    assert [one["embedding"] for one in numbers["data"]] == [vector(one, 16) for one in TEXTS]
    assert numbers["usage"] == {"prompt_tokens": 6, "total_tokens": 6}
    packed = (await embedded(person, "/v1/embeddings", edge=1, encoding_format="base64")).json()
    raws = [base64.b64decode(one["embedding"]) for one in packed["data"]]
    assert [array("f", one).tolist() for one in raws] == [vector(one) for one in TEXTS]
    lines = (await embedded(person, "/ollama/api/embed", edge=1)).json()
    assert lines["embeddings"] == [vector(one) for one in TEXTS]
    assert (lines["model"], lines["prompt_eval_count"], lines["load_duration"]) == ("embed", 6, 1_000_000)


async def test_many_texts_and_callers_at_once(person: Person) -> None:
    texts = [f"Number {number}." for number in range(2048)]
    answers = await asyncio.gather(
        *(person.edge(n).post("/v1/embeddings", json={"model": "embed", "input": texts}) for n in range(4))
    )
    for answer in answers:
        data = answer.json()["data"]
        assert [one["index"] for one in data] == list(range(2048))
        assert data[2047]["embedding"] == vector("Number 2047.")


async def test_what_fails_once_is_tried_again_and_what_cannot_be_is_told(person: Person) -> None:
    assert (await embedded(person, "/v1/embeddings", model="flaky")).status_code == 200
    cannot = await embedded(person, "/v1/embeddings", model="small")
    assert (cannot.status_code, cannot.json()["error"]["code"]) == (400, "model_cannot_embed")
    unknown = await embedded(person, "/ollama/api/embed", model="nobody")
    assert (unknown.status_code, unknown.json()) == (404, {"error": 'model "nobody" not found, try pulling it first'})


async def test_another_worker_takes_over_from_one_that_is_killed(person: Person, platform: Platform) -> None:
    if platform.kind == "embedded":
        pytest.skip("there is one process, whose clients go with it")
    asking = asyncio.create_task(embedded(person, "/v1/embeddings", model="embed-slow"))
    await eventually(lambda: [one["ended"] for one in slow_calls(platform)] == [None])
    victim = await eventually(lambda: holder(platform))
    platform.kill(victim)
    try:
        response = await asking
    finally:
        platform.restart(victim)
    assert response.status_code == 200, response.text
    assert [one["embedding"] for one in response.json()["data"]] == [vector(one) for one in TEXTS]
    assert [one["ended"] for one in slow_calls(platform)] == ["client_closed", "finished"]


def slow_calls(platform: Platform) -> list[dict[str, object]]:
    """What the back-end was called for, as it saw it."""
    return [one for one in platform.calls() if one["model"] == "embed-slow"]


def holder(platform: Platform) -> str | None:
    """The worker that is at texts now, by its own metrics."""
    for name in ("inference-1", "inference-2"):
        ops = platform.commands[name][2].removesuffix("/readyz")
        with urllib.request.urlopen(f"{ops}/metrics", timeout=5) as response:
            if b"\nollamanet_inference_embedding 1.0" in response.read():
                return name
    return None
