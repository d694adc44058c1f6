"""Ollama's API at the edge: models, and answers line by line, as its clients' parsers need them."""

import hashlib
from datetime import UTC, datetime, timedelta

import httpx
import pytest
from jsonschema import Draft202012Validator

from contracts.events import ReplyCompleted, ReplyFailed
from contracts.generation import Restarted, Thinking, Timings, ToolCall, ToolCallData, Usage
from contracts.ports.backend import CallTool, Done, ThinkingText
from contracts.records import BackendHealth, BackendModel, LoadedModel
from tests.contract.http.chatting import contents
from tests.contract.http.ollama_calls import CHAT, GENERATE, PROMPT, accepted, asked, asks, error_of, lines, said
from tests.contract.http.wire import Line
from tests.contract.http.worlds import ByHand, Person, World
from tests.eventually import eventually
from tests.unit.workers.scripted import ScriptedBackend, says

NOW = datetime.now(UTC)

# Models

LLAMA = BackendModel(
    name="llama", backend="one", digest="ab" * 32, capabilities=("chat", "tools"), family="llama", parameter_size="8.0B",
    quantization="Q4_K_M", size_bytes=4_000_000_000, context_length=8192, license="MIT",
)  # fmt: skip


async def test_models_are_listed_with_their_tag(world: World, person: Person) -> None:
    await world.serves("library/tiny:1b", "127.0.0.1:5000/mine")
    await world.serves("asleep", served_by=())
    await world.serves("llama", served_by=(LLAMA,), known=LLAMA)
    body = (await person.http.get("/ollama/api/tags")).json()
    found = {one["name"]: one for one in body.pop("models")}
    assert body == {}
    assert list(found) == ["127.0.0.1:5000/mine:latest", "library/tiny:1b", "llama:latest", "small:latest"]
    assert all(one["model"] == name for name, one in found.items())
    moment = found["llama:latest"].pop("modified_at")
    assert datetime.fromisoformat(moment).tzinfo is not None
    assert found["llama:latest"] == {
        "name": "llama:latest",
        "model": "llama:latest",
        "size": 4_000_000_000,
        "digest": "ab" * 32,
        "details": {
            "parent_model": "", "format": "", "family": "llama", "families": ["llama"], "parameter_size": "8.0B",
            "quantization_level": "Q4_K_M",
        },
    }  # fmt: skip


async def test_a_model_of_which_nothing_is_known_still_has_a_digest_of_its_own(world: World, person: Person) -> None:
    short = BackendModel(name="other", backend="one", digest="abc")
    await world.serves("other", served_by=(short,), known=short)
    found = (await person.http.get("/ollama/api/tags")).json()["models"]
    again = (await person.http.get("/ollama/api/tags")).json()["models"]
    other, small = found
    assert found == again
    assert small["digest"] == hashlib.sha256(b"small").hexdigest()
    assert other["digest"] == hashlib.sha256(b"other").hexdigest()
    assert (small["size"], small["details"]["families"]) == (0, [])


@pytest.mark.parametrize(
    "asked_as",
    [{"model": "llama"}, {"model": "llama:latest"}, {"name": "llama", "verbose": True}],
    ids=["plain", "tagged", "older"],
)
async def test_a_model_is_shown_in_full(world: World, person: Person, asked_as: dict[str, object]) -> None:
    await world.serves("llama", served_by=(), known=LLAMA)
    body = (await person.http.post("/ollama/api/show", json=asked_as)).json()
    assert body["capabilities"] == ["completion", "tools"]
    assert body["model_info"] == {"general.architecture": "llama", "llama.context_length": 8192}
    assert (body["license"], body["details"]["quantization_level"]) == ("MIT", "Q4_K_M")
    assert (body["modelfile"], body["template"], body["parameters"]) == ("", "", "")


async def test_a_model_of_which_little_is_known_is_shown(person: Person) -> None:
    body = (await person.http.post("/ollama/api/show", json={"model": "small"})).json()
    assert body["model_info"] == {"general.context_length": 4096}
    assert body["capabilities"] == ["completion"]


async def test_what_cannot_be_shown(person: Person) -> None:
    told = error_of(await person.http.post("/ollama/api/show", json={"model": "nothing"}), 404)
    assert told == 'model "nothing" not found, try pulling it first'
    assert "model" in error_of(await person.http.post("/ollama/api/show", json={}), 400)
    assert "system" in error_of(await person.http.post("/ollama/api/show", json={"model": "small", "system": "x"}), 400)


async def test_what_is_in_memory_is_listed_once_where_it_stays_the_longest(world: World, person: Person) -> None:
    assert (await person.http.get("/ollama/api/ps")).json() == {"models": []}
    soon, later = NOW + timedelta(minutes=1), NOW + timedelta(minutes=5)
    unknown = LoadedModel(name="of-somebody-else", expires_at=later)
    await world.ports.models.put_health(
        [
            has("one", LoadedModel(name="small", size_bytes=7, expires_at=soon)),
            has(
                "two",
                LoadedModel(name="small", size_bytes=9, gpu_bytes=5, context_length=99, expires_at=later),
                unknown,
            ),
            has("ill", LoadedModel(name="small", expires_at=NOW + timedelta(hours=1)), healthy=False),
        ]
    )
    (told,) = (await person.http.get("/ollama/api/ps")).json()["models"]
    assert (told["name"], told["model"]) == ("small:latest", "small:latest")
    assert (told["size"], told["size_vram"], told["context_length"]) == (9, 5, 99)
    assert datetime.fromisoformat(told["expires_at"]) == later
    assert told["digest"]


def has(name: str, *loaded: LoadedModel, healthy: bool = True) -> BackendHealth:
    return BackendHealth(name=name, kind="ollama", pool="default", healthy=healthy, checked_at=NOW, loaded=loaded)


async def test_what_clients_look_for_first_needs_no_token(client: httpx.AsyncClient) -> None:
    for path in ("/ollama", "/ollama/"):
        assert (await client.get(path)).text == "Ollama is running"
        there = await client.head(path)
        assert (there.status_code, there.content) == (200, b"")
    major, minor, _ = (await client.get("/ollama/api/version")).json()["version"].split(".")
    assert (int(major), int(minor)) >= (0, 9)


# Whole


async def test_a_whole_answer_to_a_conversation(world: World, person: Person, recording: None) -> None:
    async with world.working(ScriptedBackend(says("Be", "cause."))):
        response = await person.http.post(CHAT, json=asks(stream=False, model="small:latest"))
    assert response.headers["content-type"] == "application/json"
    body = response.json()
    assert body["model"] == "small:latest"
    (told,) = said([body])
    durations = {name: told.pop(name) for name in list(told) if name.endswith("_duration")}
    assert set(durations) == {"total_duration", "load_duration", "prompt_eval_duration", "eval_duration"}
    assert all(isinstance(one, int) and one >= 0 for one in durations.values())
    assert told == {
        "message": {"role": "assistant", "content": "Because."},
        "done": True, "done_reason": "stop", "prompt_eval_count": 3, "eval_count": 2,
    }  # fmt: skip
    (chat,) = (await person.http.get("/api/chats")).json()["items"]
    assert await contents(person, chat["id"]) == [("user", "Why?", "complete"), ("assistant", "Because.", "complete")]


async def test_a_whole_answer_to_one_question(world: World, person: Person) -> None:
    script = [ThinkingText("Hm."), *says("Because.")]
    async with world.working(ScriptedBackend(script)):
        response = await person.http.post(GENERATE, json={"model": "small", "prompt": "Why?", "stream": False})
    (told,) = said([response.json()])
    assert (told["response"], told["thinking"], told["done"], told["done_reason"]) == ("Because.", "Hm.", True, "stop")
    assert "context" not in told
    assert "message" not in told


async def test_thinking_and_tool_calls_of_a_whole_answer(world: World, person: Person) -> None:
    calls = [CallTool(ToolCallData(id=f"c{n}", name="look", arguments={"at": n})) for n in range(2)]
    script = [ThinkingText("Hm."), *calls, Done("tool_calls", Usage(input_tokens=1, output_tokens=1))]
    tool = {"type": "function", "function": {"name": "look", "parameters": {"type": "object"}}}
    backend = ScriptedBackend(script)
    async with world.working(backend):
        told = (await person.http.post(CHAT, json=asks(tools=[tool], stream=False))).json()
    assert told["done_reason"] == "stop"
    assert told["message"] == {
        "role": "assistant",
        "content": "",
        "thinking": "Hm.",
        "tool_calls": [
            {"id": "c0", "function": {"index": 0, "name": "look", "arguments": {"at": 0}}},
            {"id": "c1", "function": {"index": 1, "name": "look", "arguments": {"at": 1}}},
        ],
    }
    assert backend.calls[0].tools == (tool,)


async def test_durations_are_the_platforms_own(world: World, person: Person) -> None:
    hand, task = await asked(world, person, stream=False)
    await hand.says("Because.")
    timings = Timings(queue_ms=100, load_ms=200, ttft_ms=350, total_ms=1350, tokens_per_second=20.0)
    await hand.ends(whole(hand, timings=timings, finish_reason="length", usage=Usage(input_tokens=7, output_tokens=20)))
    told = (await task).json()
    assert {name: told[name] for name in told if name not in ("model", "created_at", "message")} == {
        "done": True, "done_reason": "length", "total_duration": 1_350_000_000, "load_duration": 200_000_000,
        "prompt_eval_count": 7, "prompt_eval_duration": 50_000_000, "eval_count": 20, "eval_duration": 1_000_000_000,
    }  # fmt: skip


def whole(hand: ByHand, **more: object) -> ReplyCompleted:
    fields = {
        "question": hand.question, "text": hand.text, "attempt": 1, "ended_at": datetime.now(UTC), "last_event_id": f"{hand.epoch}-{hand.next}",
    }  # fmt: skip
    return ReplyCompleted.model_validate({**fields, **more})


@pytest.mark.parametrize("path", [CHAT, GENERATE])
async def test_a_body_that_asks_for_nothing_loads_the_model(world: World, person: Person, path: str) -> None:
    for body in ({}, {"messages": [], "prompt": ""}, {"messages": None, "prompt": None, "keep_alive": "5m"}):
        own = {name: value for name, value in body.items() if name in ("keep_alive", KEY_OF[path])}
        response = await person.http.post(path, json={"model": "small", **own})
        assert response.headers["content-type"] == "application/json"
        (told,) = said([response.json()])
        empty = {"message": {"role": "assistant", "content": ""}} if path == CHAT else {"response": ""}
        assert told == {**empty, "done": True, "done_reason": "load"}
    assert not await world.streams.open(person.account.id)
    assert not world.bus.published
    await world.serves("asleep", served_by=())
    error_of(await person.http.post(path, json={"model": "asleep"}), 503)
    error_of(await person.http.post(path, json={"model": "nothing"}), 404)
    for nothing in (0, "0", "0s", 0.0, "0m"):
        told = error_of(await person.http.post(path, json={"model": "small", "keep_alive": nothing}), 400)
        assert "keep_alive" in told


KEY_OF = {CHAT: "messages", GENERATE: "prompt"}


# Streams


@pytest.mark.parametrize("more", [{}, {"stream": None}, {"stream": True}], ids=["unsaid", "null", "true"])
async def test_an_answer_comes_in_lines(world: World, person: Person, more: dict[str, object]) -> None:
    hand, task = await asked(world, person, **more)
    await hand.appends(Thinking(text="Hm."), ToolCall(id="c1", name="f", arguments={"x": "\u2028"}))
    await hand.appends(ToolCall(id="c2", name="g", arguments={}))
    await hand.says("Be\u2028\u0085", "cause.\n\n")
    await hand.ends()
    response = await task
    assert response.headers["content-type"] == "application/x-ndjson"
    assert response.headers["cache-control"] == "no-store, no-transform"
    told = lines(response.content)
    assert {one["model"] for one in told} == {"small"}
    *pieces, end = said(told)
    assert all(one.pop("done") is False for one in pieces)
    assert pieces == [
        {"message": {"role": "assistant", "content": "", "thinking": "Hm."}},
        {"message": {"role": "assistant", "content": "", "tool_calls": [
            {"id": "c1", "function": {"index": 0, "name": "f", "arguments": {"x": "\u2028"}}}]}},
        {"message": {"role": "assistant", "content": "", "tool_calls": [
            {"id": "c2", "function": {"index": 1, "name": "g", "arguments": {}}}]}},
        {"message": {"role": "assistant", "content": "Be\u2028\u0085"}},
        {"message": {"role": "assistant", "content": "cause.\n\n"}},
    ]  # fmt: skip
    assert end["message"] == {"role": "assistant", "content": ""}
    assert (end["done"], end["done_reason"], end["prompt_eval_count"], end["eval_count"]) == (True, "stop", 1, 2)


async def test_one_question_is_answered_in_lines(world: World, person: Person) -> None:
    hand, task = await asked(world, person, GENERATE)
    await hand.appends(Thinking(text="Hm."))
    await hand.says("Be", "cause.")
    await hand.ends()
    *pieces, end = said(lines((await task).content))
    assert pieces == [
        {"response": "", "thinking": "Hm.", "done": False},
        {"response": "Be", "done": False},
        {"response": "cause.", "done": False},
    ]
    assert (end["response"], end["done"], end["done_reason"]) == ("", True, "stop")


@pytest.mark.parametrize("path", [CHAT, GENERATE])
async def test_a_silent_line_is_kept_open_by_a_piece_without_text(world: World, person: Person, path: str) -> None:
    world.edge.streams.alive_every = 0.02
    async with Line(world.url) as line:
        await line.asks("POST", path, person.headers, asks() if path == CHAT else PROMPT)
        await line.begins()
        first, second = said([one for _ in range(2) for one in lines(await line.chunk())])
        empty = {"message": {"role": "assistant", "content": ""}} if path == CHAT else {"response": ""}
        assert first == second == {**empty, "done": False}
        hand = await accepted(world, person)
        await hand.says("Still here.")
        await hand.ends()
        told = lines(await line.rest())
    assert told[-1]["done"] is True


async def test_what_began_again_before_anything_was_said_is_not_told(world: World, person: Person) -> None:
    hand, task = await asked(world, person)
    await hand.appends(Restarted(attempt=2, reason="backend_lost"))
    await hand.says("Now.")
    await hand.ends()
    assert [one["message"]["content"] for one in lines((await task).content)] == ["Now.", ""]


async def test_what_began_again_after_text_is_an_error(world: World, person: Person) -> None:
    async with Line(world.url) as line:
        await line.asks("POST", CHAT, person.headers, asks())
        await line.begins()
        hand = await accepted(world, person)
        await hand.says("Wrong")
        assert b"Wrong" in await line.chunk()
        await hand.appends(Restarted(attempt=2, reason="worker_lost"))
        (told,) = said(lines(await line.rest()))
    assert list(told) == ["error"]
    assert "began anew" in told["error"]
    log = world.streams.logs.by_id[hand.question.generation_id]
    await eventually(lambda: log.cancel)


async def test_a_failure_in_mid_stream_is_the_last_line(world: World, person: Person) -> None:
    hand, task = await asked(world, person)
    await hand.says("Half")
    await hand.ends(failure(hand, "backend_cut", retryable=True))
    half, told = said(lines((await task).content))
    assert half["message"]["content"] == "Half"
    assert told == {"error": "It broke."}


def failure(hand: ByHand, code: str, *, retryable: bool) -> ReplyFailed:
    return ReplyFailed(
        question=hand.question, text=hand.text, attempt=1, ended_at=datetime.now(UTC), code=code, message="It broke.", retryable=retryable
    )  # fmt: skip


@pytest.mark.parametrize(
    ("code", "retryable", "status"),
    [("backend_cut", True, 502), ("token_timeout", True, 504), ("context_too_long", False, 400)],
)
async def test_a_failure_of_a_whole_answer_is_a_status(
    world: World, person: Person, code: str, retryable: bool, status: int
) -> None:
    hand, task = await asked(world, person, stream=False)
    await hand.ends(failure(hand, code, retryable=retryable))
    response = await task
    assert error_of(response, status) == "It broke."
    assert ("retry-after" in response.headers) == retryable


# The document


async def test_answers_are_what_the_document_says(world: World, person: Person) -> None:
    document = world.app.openapi()
    backend = ScriptedBackend([ThinkingText("Hm."), CallTool(ToolCallData(id="c", name="f")), *says("So.")])
    async with world.working(backend):
        answers = {
            "post " + CHAT: await person.http.post(CHAT, json=asks(stream=False)),
            "post " + GENERATE: await person.http.post(GENERATE, json={**PROMPT, "stream": False}),
            "get /ollama/api/tags": await person.http.get("/ollama/api/tags"),
            "get /ollama/api/ps": await person.http.get("/ollama/api/ps"),
            "get /ollama/api/version": await person.http.get("/ollama/api/version"),
            "post /ollama/api/show": await person.http.post("/ollama/api/show", json={"model": "small"}),
        }
    for name, response in answers.items():
        method, _, path = name.partition(" ")
        answer = document["paths"][path][method]["responses"][str(response.status_code)]["content"]
        schema = {**answer["application/json"]["schema"], "components": document["components"]}
        Draft202012Validator(schema).validate(response.json())
    refused = await person.http.post(
        CHAT, json={"model": "nothing", **{"messages": [{"role": "user", "content": "x"}]}}
    )
    schema = {**document["components"]["schemas"]["OllamaError"], "components": document["components"]}
    Draft202012Validator(schema).validate(refused.json())
