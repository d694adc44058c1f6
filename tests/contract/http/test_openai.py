"""OpenAI's API at the edge, byte by byte, as its clients' parsers need it."""

import asyncio
import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest

from contracts.commands import Turn
from contracts.errors import Overloaded, Unavailable
from contracts.events import ReplyFailed
from contracts.generation import Restarted, Thinking, ToolCall, ToolCallData, Usage
from contracts.ports.backend import CallTool, Done, ThinkingText
from tests.contract.http.chatting import contents, last_command
from tests.contract.http.conftest import StartWorld
from tests.contract.http.wire import Line
from tests.contract.http.worlds import ByHand, Person, World
from tests.eventually import eventually
from tests.unit.workers.scripted import ScriptedBackend, never, says

PATH = "/v1/chat/completions"
USER = {"role": "user", "content": "Why?"}


def asks(**more: object) -> dict[str, object]:
    return {"model": "small", "messages": [USER], **more}


def refusal(response: httpx.Response, status: int, code: str) -> dict[str, Any]:
    """The error of this answer, in OpenAI's shape and nothing else."""
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/json"
    body = response.json()
    assert set(body) == {"error"}
    error = body["error"]
    assert set(error) == {"message", "type", "param", "code"}
    assert error["message"]
    assert error["code"] == code, error
    return error


def parts(raw: bytes) -> list[Any]:
    """What a strict parser reads: nothing but data, one line each, with at most comments right before."""
    found: list[Any] = []
    for block in raw.decode().split("\n\n")[:-1]:
        *comments, data = block.split("\n")
        assert all(one.startswith(":") for one in comments), block
        assert data.startswith("data: "), block
        text = data.removeprefix("data: ")
        found.append(text if text == "[DONE]" else json.loads(text))
    return found


async def streaming(person: Person, into: list[Any], **more: object) -> None:
    response = await person.http.post(PATH, json=asks(stream=True, **more))
    assert response.status_code == 200, response.text
    into += parts(response.content)


async def asked(world: World, person: Person, **more: object) -> tuple[ByHand, asyncio.Task[None], list[Any]]:
    """A streamed question that the test answers by hand."""
    told: list[Any] = []
    task = asyncio.create_task(streaming(person, told, **more))
    question = (await eventually(lambda: world.streams.open(person.account.id)))[0]
    await eventually(lambda: accepted(world, question.generation_id))
    return await world.by_hand(question.generation_id), task, told


async def accepted(world: World, generation_id: str) -> bool:
    head = await world.streams.head(generation_id)
    return head is not None and head.state == "accepted"


# Models


async def test_models_are_those_that_can_be_asked_now(world: World, person: Person) -> None:
    await world.serves("library/tiny:1b")
    await world.serves("asleep", served_by=())
    body = (await person.http.get("/v1/models")).json()
    assert body["object"] == "list"
    assert [one["id"] for one in body["data"]] == ["library/tiny:1b", "small"]
    assert all(set(one) == {"id", "object", "created", "owned_by"} for one in body["data"])
    one = (await person.http.get("/v1/models/library/tiny:1b")).json()
    assert one == body["data"][0]
    assert (await person.http.get("/v1/models/library%2Ftiny%3A1b")).json() == one
    assert (await person.http.get("/v1/models/small:latest")).json()["id"] == "small"


# Whole


async def test_a_whole_answer(world: World, person: Person, recording: None) -> None:
    async with world.working(ScriptedBackend(says("Be", "cause."))):
        response = await person.http.post(PATH, json=asks())
    assert response.status_code == 200, response.text
    body = response.json()
    identity, created = body.pop("id"), body.pop("created")
    assert identity.startswith("chatcmpl-")
    assert isinstance(created, int)
    assert body == {
        "object": "chat.completion",
        "model": "small",
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": "Because.", "refusal": None},
                "logprobs": None,
                "finish_reason": "stop",
            }
        ],
        "usage": {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5},
    }
    generation = (await person.http.get(f"/api/generations/{identity.removeprefix('chatcmpl-')}")).json()
    assert await contents(person, generation["chat_id"]) == [
        ("user", "Why?", "complete"),
        ("assistant", "Because.", "complete"),
    ]


async def test_thinking_and_tool_calls_of_a_whole_answer(world: World, person: Person) -> None:
    call = CallTool(ToolCallData(id="c1", name="look", arguments={"at": "sky"}))
    script = [ThinkingText("Hm."), call, Done("tool_calls", Usage(input_tokens=1, output_tokens=1))]
    tool = {"type": "function", "function": {"name": "look", "parameters": {"type": "object"}}}
    backend = ScriptedBackend(script)
    async with world.working(backend):
        (choice,) = (await person.http.post(PATH, json=asks(tools=[tool]))).json()["choices"]
    assert choice["finish_reason"] == "tool_calls"
    message = choice["message"]
    assert (message["content"], message["reasoning_content"]) == (None, "Hm.")
    assert message["tool_calls"] == [
        {"id": "c1", "type": "function", "function": {"name": "look", "arguments": '{"at":"sky"}'}}
    ]
    assert backend.calls[0].tools == (tool,)


async def test_a_whole_answer_survives_a_restart(world: World, person: Person) -> None:
    asking = asyncio.create_task(person.http.post(PATH, json=asks()))
    question = (await eventually(lambda: world.streams.open(person.account.id)))[0]
    await eventually(lambda: accepted(world, question.generation_id))
    hand = await world.by_hand(question.generation_id)
    await hand.says("Wrong")
    await hand.appends(Restarted(attempt=2, reason="worker_lost"))
    hand.text = ""
    await hand.says("Right.")
    await hand.ends()
    assert (await asking).json()["choices"][0]["message"]["content"] == "Right."


# What the model reads


async def test_the_model_reads_the_messages_as_they_are(world: World, person: Person, recording: None) -> None:
    messages = [
        {"role": "developer", "content": "Be brief."},
        {"role": "user", "content": [{"type": "text", "text": "One"}, {"type": "text", "text": "two"}]},
        {"role": "user", "content": "three"},
        {
            "role": "assistant",
            "content": None,
            "tool_calls": [
                {"id": "a", "type": "function", "function": {"name": "f", "arguments": '{"x": 1}'}},
                {"id": "b", "type": "function", "function": {"name": "g", "arguments": ""}},
            ],
        },
        {"role": "tool", "tool_call_id": "b", "content": "B"},
        {"role": "tool", "tool_call_id": "a", "content": "A"},
    ]
    backend = ScriptedBackend(says("So."))
    async with world.working(backend):
        response = await person.http.post(PATH, json=asks(messages=messages))
        assert response.status_code == 200, response.text
    calls = (ToolCallData(id="a", name="f", arguments={"x": 1}), ToolCallData(id="b", name="g"))
    assert backend.calls[0].context == (
        Turn(role="system", content="Be brief."),
        Turn(role="user", content="One\ntwo"),
        Turn(role="user", content="three"),
        Turn(role="assistant", content="", tool_calls=calls),
        Turn(role="tool", content="A"),
        Turn(role="tool", content="B"),
    )
    command = await last_command(world)
    assert (command.question.content, command.question.system) == ("three", "Be brief.")
    (chat,) = (await person.http.get("/api/chats")).json()["items"]
    assert chat["title"] == "three"


async def test_options_reach_the_model(world: World, person: Person) -> None:
    schema = {"type": "object", "properties": {"a": {"type": "string"}}}
    body = asks(
        temperature=0.5, top_p=0.9, max_tokens=7, max_completion_tokens=9, stop="END", seed=3, presence_penalty=0.1,
        frequency_penalty=-0.1, n=1, user="u", metadata={"a": "b"}, store=True, logprobs=False, logit_bias={},
        reasoning_effort="none", response_format={"type": "json_schema", "json_schema": {"name": "x", "schema": schema}},
    )  # fmt: skip
    backend = ScriptedBackend(says("{}"))
    async with world.working(backend):
        assert (await person.http.post(PATH, json=body)).status_code == 200
    call = backend.calls[0]  # what follows is its probe
    assert call.options.model_dump(exclude_defaults=True) == {
        "temperature": 0.5, "top_p": 0.9, "max_tokens": 9, "stop": ("END",), "seed": 3, "presence_penalty": 0.1, "frequency_penalty": -0.1,
    }  # fmt: skip
    assert (call.format, call.think) == (schema, False)


async def test_any_json_and_no_tools(world: World, person: Person) -> None:
    tool = {"type": "function", "function": {"name": "f"}}
    backend = ScriptedBackend(says("{}"))
    body = asks(response_format={"type": "json_object"}, tools=[tool], tool_choice="none", stop=["a", "b"])
    async with world.working(backend):
        assert (await person.http.post(PATH, json=body)).status_code == 200
    assert (backend.calls[0].format, backend.calls[0].tools) == ("json", ())
    assert backend.calls[0].options.stop == ("a", "b")


# What is refused

IMAGE = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}}
CALLS = {"role": "assistant", "tool_calls": [{"id": "a", "function": {"name": "f", "arguments": "{}"}}]}
ANSWER = {"role": "tool", "tool_call_id": "a", "content": "A"}


@pytest.mark.parametrize(
    ("more", "param"),
    [
        ({"n": 2}, "n"),
        ({"logprobs": True}, "logprobs"),
        ({"audio": {"voice": "a"}}, "audio"),
        ({"modalities": ["text", "audio"]}, "modalities"),
        ({"stream_options": {"include_obfuscation": True}}, "stream_options.include_obfuscation"),
        ({"prediction": {}}, "prediction"),
        ({"made_up": 1}, "made_up"),
        ({"tool_choice": "required"}, "tool_choice"),
        ({"tools": [{"type": "custom"}]}, "tools[0]"),
        ({"response_format": {"type": "json_schema"}}, "response_format.json_schema"),
        ({"messages": [{"role": "user", "content": [{"type": "text", "text": "x"}, IMAGE]}]}, "messages[0].content[1].image_url"),
        ({"messages": [USER, {**CALLS, "audio": {"id": "x"}}, ANSWER]}, "messages[1].audio"),
        ({"messages": [USER, ANSWER]}, "messages[1].tool_call_id"),
        ({"messages": [USER, CALLS]}, "messages"),
        ({"messages": [USER, CALLS, USER]}, "messages"),
        ({"messages": [{"role": "user", "content": " "}]}, "messages"),
        ({"messages": [USER, {**CALLS, "tool_calls": [{"id": "a", "function": {"name": "f", "arguments": "["}}]}]},
         "messages[1].tool_calls[0].function.arguments"),
    ],
)  # fmt: skip
async def test_what_cannot_be_honoured_is_refused_by_name(
    world: World, person: Person, more: dict[str, object], param: str
) -> None:
    error = refusal(await person.http.post(PATH, json=asks(**more)), 400, "unsupported_parameter")
    assert (error["param"], error["type"]) == (param, "invalid_request_error")
    assert not await world.streams.open(person.account.id)


@pytest.mark.parametrize(
    ("more", "param"),
    [
        ({"temperature": 3}, "temperature"),
        ({"messages": []}, "messages"),
        ({"messages": [{"role": "narrator", "content": "x"}]}, "messages[0].role"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"model": None}, "model"),
        ({"messages": [{"role": "user", "content": "\ud800"}]}, "messages[0].content"),
    ],
)
async def test_a_body_against_the_schema_is_400(person: Person, more: dict[str, object], param: str) -> None:
    content = json.dumps(asks(**more)).encode()
    response = await person.http.post(PATH, content=content, headers={"Content-Type": "application/json"})
    error = refusal(response, 400, "invalid_value")
    assert str(error["param"]).startswith(param)
    assert error["param"] in error["message"]


async def test_every_error_below_v1_has_openais_body(client: httpx.AsyncClient, person: Person) -> None:
    told = refusal(await client.get("/v1/models"), 401, "invalid_api_key")
    assert told["type"] == "authentication_error"
    refusal(await client.post(PATH, json=asks()), 401, "invalid_api_key")
    refusal(await client.get("/v1/nothing"), 404, "not_found")
    refusal(await client.post("/v1/nothing", json={}), 404, "not_found")
    refusal(await client.get(PATH), 405, "method_not_allowed")
    response = await person.http.post(PATH, content=b"{", headers={"Content-Type": "application/json"})
    refusal(response, 400, "malformed_json")
    refusal(await person.http.post(PATH, content=b"a=b"), 415, "unsupported_media_type")
    huge = json.dumps(asks(user="x" * 1024 * 1024)).encode()
    response = await person.http.post(PATH, content=huge, headers={"Content-Type": "application/json"})
    refusal(response, 413, "body_too_large")
    refusal(await person.http.get("/v1/models/nothing"), 404, "model_not_found")
    response = await person.http.post(PATH, json=asks(model="nothing"))
    refusal(response, 404, "model_not_found")
    assert response.headers["x-should-retry"] == "false"
    assert response.headers["x-request-id"]


async def test_a_context_that_surely_does_not_fit(person: Person) -> None:
    long = [{"role": "user", "content": "a" * 40_000}]
    error = refusal(await person.http.post(PATH, json=asks(messages=long)), 400, "context_length_exceeded")
    assert "4096" in error["message"]
    longer = [{"role": "user", "content": "a" * 200_000}] * 3
    refusal(await person.http.post(PATH, json=asks(messages=longer)), 413, "content_too_large")


async def test_what_does_not_answer_now_is_to_be_tried_again(world: World, person: Person) -> None:
    for error in (Unavailable("down"), Overloaded("full", 3000)):
        world.bus.before = raising(error)
        response = await person.http.post(PATH, json=asks())
        told = refusal(response, 503, "overloaded" if isinstance(error, Overloaded) else "unavailable")
        assert told["type"] == "server_error"
        assert response.headers["x-should-retry"] == "true"
        assert int(response.headers["retry-after"]) >= 1
    assert await world.nothing_is_left(person.account.id)


def raising(error: Exception) -> Callable[[], Any]:
    async def fails() -> None:
        raise error

    return fails


async def test_limits_are_told_as_openai_does(start: StartWorld) -> None:
    world = await start(chats_per_minute=2)
    person = await world.person()
    first = await person.http.post(PATH, json=asks(model="nothing"))
    assert first.headers["x-ratelimit-limit-requests"] == "2"
    assert first.headers["x-ratelimit-remaining-requests"] == "1"
    assert first.headers["x-ratelimit-reset-requests"].endswith("s")
    assert first.headers["ratelimit-policy"] == '"chats";q=2;w=60'
    await person.http.post(PATH, json=asks(model="nothing"))
    third = await person.http.post(PATH, json=asks())
    told = refusal(third, 429, "rate_limit_exceeded")
    assert told["type"] == "rate_limit_error"
    assert third.headers["x-should-retry"] == "true"
    assert 0 < int(third.headers["retry-after"]) <= 30
    native = await person.http.post("/api/chats/stream", json={"model": "small", "content": "x"})
    assert "x-ratelimit-limit-requests" not in native.headers


# Streams


async def test_a_stream_is_data_and_nothing_else(world: World, person: Person) -> None:
    hand, task, told = await asked(world, person, stream_options={"include_usage": True})
    await hand.appends(Thinking(text="Hm."), ToolCall(id="c1", name="f", arguments={"x": 1}))
    await hand.appends(ToolCall(id="c2", name="g", arguments={}))
    await hand.says("Be\u2028", "cause.\n\n")
    await hand.ends()
    await task
    *chunks, done = told
    assert done == "[DONE]"
    assert {(one["id"], one["object"], one["model"]) for one in chunks} == {
        (f"chatcmpl-{hand.question.generation_id}", "chat.completion.chunk", "small")
    }
    *said, usage = chunks
    assert [one["choices"][0]["delta"] for one in said] == [
        {"role": "assistant", "content": ""},
        {"reasoning_content": "Hm."},
        {"tool_calls": [{"index": 0, "id": "c1", "type": "function", "function": {"name": "f", "arguments": '{"x":1}'}}]},
        {"tool_calls": [{"index": 1, "id": "c2", "type": "function", "function": {"name": "g", "arguments": "{}"}}]},
        {"content": "Be\u2028"},
        {"content": "cause.\n\n"},
        {},
    ]  # fmt: skip
    assert [one["choices"][0]["finish_reason"] for one in said] == [None] * 6 + ["stop"]
    assert [one["usage"] for one in said] == [None] * 7
    assert usage["choices"] == []
    assert usage["usage"] == {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3}


async def test_usage_comes_only_when_asked_for(world: World, person: Person) -> None:
    hand, task, told = await asked(world, person)
    await hand.ends()
    await task
    assert all("usage" not in one for one in told[:-1])
    assert all(one["choices"] for one in told[:-1])


async def test_a_silent_stream_is_kept_alive_before_the_next_event(world: World, person: Person) -> None:
    world.edge.streams.alive_every = 0.02
    async with Line(world.url) as line:
        await line.asks("POST", PATH, person.headers, asks(stream=True))
        await line.begins()
        assert line.headers["content-type"] == "text/event-stream; charset=utf-8"
        assert b'"role":"assistant"' in await line.chunk()
        assert [await line.chunk() for _ in range(2)] == [b": alive\n"] * 2
        question = (await world.streams.open(person.account.id))[0]
        hand = await world.by_hand(question.generation_id)
        await hand.says("Still here.")
        await hand.ends()
        assert parts(await line.rest())[-1] == "[DONE]"


async def test_what_began_again_before_anything_was_said_is_not_told(world: World, person: Person) -> None:
    hand, task, told = await asked(world, person)
    await hand.appends(Restarted(attempt=2, reason="backend_lost"))
    await hand.says("Now.")
    await hand.ends()
    await task
    assert [one["choices"][0]["delta"].get("content") for one in told[:-1]] == ["", "Now.", None]


async def test_what_began_again_after_text_is_an_error(world: World, person: Person, recording: None) -> None:
    async with Line(world.url) as line:
        await line.asks("POST", PATH, person.headers, asks(stream=True))
        await line.begins()
        await line.chunk()
        question = (await eventually(lambda: world.streams.open(person.account.id)))[0]
        await eventually(lambda: accepted(world, question.generation_id))
        hand = await world.by_hand(question.generation_id)
        await hand.says("Wrong")
        assert b"Wrong" in await line.chunk()
        await hand.appends(Restarted(attempt=2, reason="worker_lost"))
        told = parts(await line.rest())
    assert told[-1]["error"]["code"] == "restarted"
    assert told[-1]["error"]["type"] == "server_error"
    await is_told_to_cancel(hand)


async def is_told_to_cancel(hand: ByHand) -> None:
    """Its worker hears with its next word that nobody waits for it."""
    log = hand.world.streams.logs.by_id[hand.question.generation_id]
    await eventually(lambda: log.cancel)


async def test_a_failure_in_mid_stream_is_an_error_and_no_end(world: World, person: Person) -> None:
    hand, task, told = await asked(world, person)
    await hand.says("Half")
    await hand.ends(failure(hand, "backend_cut", retryable=True))
    await task
    assert told[-1] == {
        "error": {
            "message": "It broke.", "type": "server_error", "param": None, "code": "backend_cut"
        }
    }  # fmt: skip
    assert "[DONE]" not in told


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
    asking = asyncio.create_task(person.http.post(PATH, json=asks()))
    question = (await eventually(lambda: world.streams.open(person.account.id)))[0]
    await eventually(lambda: accepted(world, question.generation_id))
    hand = await world.by_hand(question.generation_id)
    await hand.ends(failure(hand, code, retryable=retryable))
    response = await asking
    refusal(response, status, "context_length_exceeded" if status == 400 else code)
    assert response.headers["x-should-retry"] == str(retryable).lower()


async def test_a_cancel_from_elsewhere_is_an_error(world: World, person: Person, recording: None) -> None:
    async with world.working(ScriptedBackend([*says("Half")[:1], never])):
        told: list[Any] = []
        task = asyncio.create_task(streaming(person, told))
        question = (await eventually(lambda: world.streams.open(person.account.id)))[0]
        await eventually(lambda: said_something(world, question.generation_id))
        await person.http.post(f"/api/generations/{question.generation_id}/cancel")
        await task
    assert told[-1]["error"]["code"] == "cancelled"


async def said_something(world: World, generation_id: str) -> bool:
    log = world.streams.logs.by_id[generation_id]
    return any(b'"token"' in one.encoded for one in log.events)


# Leaving


async def test_who_hangs_up_on_a_stream_cancels_it(world: World, person: Person, recording: None) -> None:
    backend = ScriptedBackend([*says("Half")[:1], never])
    async with world.working(backend):
        async with Line(world.url) as line:
            await line.asks("POST", PATH, person.headers, asks(stream=True))
            await line.begins()
            await line.chunk()
            await eventually(lambda: backend.running == 1)
        await eventually(lambda: backend.running == 0)
    assert backend.closed == 1


async def test_who_hangs_up_on_a_whole_answer_cancels_it(world: World, person: Person, recording: None) -> None:
    backend = ScriptedBackend([*says("Half")[:1], never])
    async with world.working(backend):
        async with Line(world.url) as line:
            await line.asks("POST", PATH, person.headers, asks())
            await eventually(lambda: backend.running == 1)
        await eventually(lambda: backend.running == 0)
    await eventually(lambda: len(world.edge.streams) == 0)


@pytest.mark.parametrize("stream", [True, False])
async def test_who_sent_a_key_may_hang_up_and_have_the_same_answer(
    world: World, person: Person, recording: None, stream: bool
) -> None:
    gate = asyncio.Event()
    backend = ScriptedBackend([*says("Half")[:1], gate.wait, *says(" and half")])
    headers = {**person.headers, "Idempotency-Key": "k"}
    async with world.working(backend):
        async with Line(world.url) as line:
            await line.asks("POST", PATH, headers, asks(stream=stream))
            await eventually(lambda: backend.running == 1)
        await eventually(lambda: len(world.edge.streams) == 0)
        gate.set()
        response = await person.http.post(PATH, json=asks(), headers=headers)
    assert response.json()["choices"][0]["message"]["content"] == "Half and half"
    assert [one.context[-1].content for one in backend.calls].count("Why?") == 1
    other = await person.http.post(PATH, json=asks(temperature=1), headers=headers)
    refusal(other, 422, "idempotency_mismatch")


async def test_an_edge_that_stops_lets_streams_go_on_for_a_while(world: World, person: Person) -> None:
    hand, task, told = await asked(world, person)
    await hand.says("Half ")
    world.edge.streams.end_all(30)
    refusal(await person.http.post(PATH, json=asks()), 503, "stopping")
    await hand.says("and half.")
    await hand.ends()
    await task
    assert told[-1] == "[DONE]"


@pytest.mark.parametrize("stream", [True, False])
async def test_an_edge_that_stops_now_says_so(world: World, person: Person, stream: bool) -> None:
    asking = asyncio.create_task(person.http.post(PATH, json=asks(stream=stream)))
    await eventually(lambda: len(world.edge.streams) == 1)
    world.edge.streams.end_all()
    response = await asking
    if stream:
        assert parts(response.content)[-1]["error"]["code"] == "stopping"
    else:
        refusal(response, 503, "stopping")


async def test_a_session_that_ends_ends_its_stream(world: World, person: Person) -> None:
    asking = asyncio.create_task(person.http.post(PATH, json=asks(stream=True)))
    await eventually(lambda: len(world.edge.streams) == 1)
    for stream in world.edge.streams._open:
        stream.end()
    assert parts((await asking).content)[-1]["error"]["code"] == "invalid_api_key"
