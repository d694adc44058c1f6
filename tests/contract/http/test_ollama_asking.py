"""What Ollama's clients ask for: all that reaches the model, what is let pass, and what is refused by name."""

import json

import httpx
import pytest

from contracts.commands import Turn
from contracts.errors import Overloaded, Unavailable
from contracts.generation import ToolCallData
from contracts.records import BackendModel
from tests.contract.http.chatting import last_command
from tests.contract.http.ollama_calls import CHAT, GENERATE, USER, asks, error_of
from tests.contract.http.problems import problem
from tests.contract.http.worlds import Person, World
from tests.unit.workers.scripted import ScriptedBackend, says

JSON = {"Content-Type": "application/json"}


async def test_the_model_reads_the_messages_as_they_are(world: World, person: Person, recording: None) -> None:
    messages = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "two", "images": [], "name": "ada"},
        {"role": "user", "content": "three"},
        {
            "role": "assistant",
            "content": "",
            "thinking": "Hm.",
            "tool_calls": [
                {"function": {"name": "f", "arguments": {"x": 1}}},
                {"type": "function", "id": "own", "function": {"name": "g", "arguments": None}},
                {"function": {"name": "f", "index": 2}},
            ],
        },
        {"role": "tool", "tool_name": "g", "content": "G"},
        {"role": "tool", "tool_name": "f", "content": "F1"},
        {"role": "tool", "content": "F2"},
    ]
    backend = ScriptedBackend(says("So."))
    async with world.working(backend):
        response = await person.http.post(CHAT, json=asks(messages=messages, stream=False))
        assert response.status_code == 200, response.text
    calls = (
        ToolCallData(id="call_3_0", name="f", arguments={"x": 1}),
        ToolCallData(id="own", name="g"),
        ToolCallData(id="call_3_2", name="f"),
    )
    assert backend.calls[0].context == (
        Turn(role="system", content="Be brief."),
        Turn(role="user", content="two"),
        Turn(role="user", content="three"),
        Turn(role="assistant", content="", tool_calls=calls),
        Turn(role="tool", content="F1"),
        Turn(role="tool", content="G"),
        Turn(role="tool", content="F2"),
    )
    command = await last_command(world)
    assert (command.question.content, command.question.system) == ("three", "Be brief.")


async def test_tools_are_answered_by_the_id_of_the_call(world: World, person: Person) -> None:
    calls = [{"id": one, "function": {"name": "f", "arguments": {}}} for one in ("a", "b")]
    messages = [
        USER,
        {"role": "assistant", "tool_calls": calls},
        {"role": "tool", "tool_call_id": "b", "tool_name": "f", "content": "B"},
        {"role": "tool", "tool_call_id": "a", "content": "A"},
    ]
    backend = ScriptedBackend(says("So."))
    async with world.working(backend):
        assert (await person.http.post(CHAT, json=asks(messages=messages, stream=False))).status_code == 200
    assert [one.content for one in backend.calls[0].context[-2:]] == ["A", "B"]


async def test_one_question_with_its_system_prompt(world: World, person: Person) -> None:
    body = {"model": "small", "prompt": "Why?", "system": "Be brief.", "stream": False}
    backend = ScriptedBackend(says("So."), says("So."))
    async with world.working(backend):
        assert (await person.http.post(GENERATE, json=body)).status_code == 200
    assert backend.calls[0].context == (Turn(role="system", content="Be brief."), Turn(role="user", content="Why?"))
    command = await last_command(world)
    assert (command.question.content, command.question.system) == ("Why?", "Be brief.")


async def test_options_reach_the_model(world: World, person: Person) -> None:
    schema = {"type": "object", "properties": {"a": {"type": "string"}}}
    options = {
        "temperature": 0.5, "top_k": 40, "top_p": 0.9, "seed": 3, "num_predict": 7, "stop": ["END", ""],
        "presence_penalty": 0.1, "frequency_penalty": -0.1, "num_ctx": 4096,
    }  # fmt: skip
    backend = ScriptedBackend(says("{}"))
    async with world.working(backend):
        body = asks(options=options, format=schema, think=False, stream=False, keep_alive="10m")
        assert (await person.http.post(CHAT, json=body)).status_code == 200
    call = backend.calls[0]  # what follows is its probe
    assert call.options.model_dump(exclude_defaults=True) == {
        "temperature": 0.5, "top_k": 40, "top_p": 0.9, "seed": 3, "max_tokens": 7, "stop": ("END",),
        "presence_penalty": 0.1, "frequency_penalty": -0.1,
    }  # fmt: skip
    assert (call.format, call.think) == (schema, False)


NULLS = dict.fromkeys(
    ("num_ctx", "num_gpu", "num_thread", "mirostat", "repeat_last_n", "repeat_penalty", "tfs_z", "temperature", "seed", "stop",
     "num_predict", "top_k", "top_p")
)  # fmt: skip


@pytest.mark.parametrize(
    "more",
    [
        {"tools": [], "format": "", "options": NULLS, "keep_alive": None, "think": None},
        {"tools": None, "format": None, "options": None, "keep_alive": -1},
        {"options": {}, "truncate": False, "shift": True, "logprobs": False},
        {"options": {"seed": -1, "num_predict": -1, "stop": [], "num_gpu": -1, "num_thread": 0, "tfs_z": 1}},
        {"options": {"num_predict": -2, "use_mmap": None, "low_vram": False, "num_batch": 512}, "keep_alive": "1h"},
    ],
    ids=["nulls of langchain", "nulls", "neutral", "defaults", "more defaults"],
)
async def test_what_asks_for_nothing_is_let_pass(world: World, person: Person, more: dict[str, object]) -> None:
    backend = ScriptedBackend(says("So."))
    async with world.working(backend):
        response = await person.http.post(CHAT, json=asks(stream=False, **more))
        assert response.status_code == 200, response.text
    call = backend.calls[0]
    assert call.options.model_dump(exclude_defaults=True) == {}
    assert (call.format, call.think, call.tools) == (None, None, ())


@pytest.mark.parametrize(
    ("more", "format", "think"),
    [
        ({"format": "json", "think": True}, "json", True),
        ({"format": {}, "think": "low"}, "json", True),
        ({"think": "high"}, None, True),
    ],
    ids=["json", "any", "level"],
)
async def test_formats_and_thinking(
    world: World, person: Person, more: dict[str, object], format: object, think: bool
) -> None:
    backend = ScriptedBackend(says("{}"))
    async with world.working(backend):
        assert (await person.http.post(CHAT, json=asks(stream=False, **more))).status_code == 200
    assert (backend.calls[0].format, backend.calls[0].think) == (format, think)


# What is refused

CALLS = {"role": "assistant", "tool_calls": [{"id": "a", "function": {"name": "f", "arguments": {}}}]}
ANSWER = {"role": "tool", "tool_call_id": "a", "content": "A"}


REFUSED: list[tuple[dict[str, object], str]] = [
    ({"options": {"num_gpu": 1}}, "options.num_gpu"),
    ({"options": {"num_thread": 8}}, "options.num_thread"),
    ({"options": {"use_mmap": True}}, "options.use_mmap"),
    ({"options": {"num_ctx": 4097}}, "options.num_ctx"),
    ({"options": {"penalize_newline": False}}, "options.penalize_newline"),
    ({"options": {"tfs_z": 0.5}}, "options.tfs_z"),
    ({"keep_alive": 0}, "keep_alive"),
    ({"options": {"made_up": 1}}, "options.made_up"),
    ({"options": {"x" * 300: 1}}, "options." + "x" * 100 + " "),
    ({"truncate": True}, "truncate"),
    ({"shift": False}, "shift"),
    ({"logprobs": True}, "logprobs"),
    ({"made_up": {}}, "made_up"),
    ({"prompt": "Why?"}, "prompt"),
    ({"tools": [{"type": "custom"}]}, "tools[0]"),
    ({"messages": [{**USER, "images": ["AA=="]}]}, "messages[0].images"),
    ({"messages": [USER, ANSWER]}, "messages[1]"),
    ({"messages": [USER, CALLS]}, "The end of messages"),
    ({"messages": [USER, CALLS, USER]}, "messages[2]"),
    ({"messages": [USER, CALLS, ANSWER, ANSWER]}, "messages[3]"),
    ({"messages": [USER, CALLS, {**ANSWER, "tool_call_id": "b"}]}, "messages[2]"),
    ({"messages": [USER, CALLS, {"role": "tool", "tool_name": "g", "content": "A"}]}, "messages[2]"),
    ({"messages": [{"role": "user", "content": " "}]}, "messages"),
]


async def test_what_cannot_be_honoured_is_refused_by_name(world: World, person: Person) -> None:
    for more, named in REFUSED:
        response = await person.http.post(CHAT, json=asks(**more))
        told = error_of(response, 400)
        assert named in told, more
        assert len(told) < 300
    assert not await world.streams.open(person.account.id)
    assert not world.bus.published


IN_VAIN = {
    "raw": True, "suffix": "}", "template": "{{ .Prompt }}", "context": [1, 2], "width": 64, "messages": [USER],
    "tools": [{}],
}  # fmt: skip


async def test_what_one_question_cannot_have_is_refused_by_name(world: World, person: Person) -> None:
    for name, value in IN_VAIN.items():
        for prompt in ("Why?", ""):
            response = await person.http.post(GENERATE, json={"model": "small", "prompt": prompt, name: value})
            assert error_of(response, 400) == f"{name} is not supported here: leave it out."
    assert not await world.streams.open(person.account.id)


async def test_what_one_question_may_have_in_vain(world: World, person: Person) -> None:
    body = {"raw": False, "suffix": "", "template": "", "context": [], "images": [], "system": "", "format": ""}
    backend = ScriptedBackend(says("So."))
    async with world.working(backend):
        response = await person.http.post(GENERATE, json={"model": "small", "prompt": "Why?", "stream": False, **body})
        assert response.status_code == 200, response.text
    assert backend.calls[0].context == (Turn(role="user", content="Why?"),)
    told = error_of(await person.http.post(GENERATE, json={"model": "small", "prompt": " \n"}), 400)
    assert told == "prompt should say something."


MISTAKEN: list[tuple[dict[str, object], str]] = [
    ({"options": {"temperature": -1}}, "/options/temperature"),
    ({"options": {"num_predict": -3}}, "/options/num_predict"),
    ({"options": []}, "/options"),
    ({"options": {"\ud800": 1}}, "/options"),
    ({"\ud800": 1}, "schema"),
    ({"options": {"stop": ["x"] * 17}}, "/options/stop"),
    ({"messages": [{"role": "narrator", "content": "x"}]}, "/messages/0/role"),
    ({"messages": [{"role": "user", "content": "\ud800"}]}, "/messages/0/content"),
    ({"messages": [{**CALLS, "tool_calls": [{"function": {"name": "f", "arguments": "{}"}}]}]},
     "/messages/0/tool_calls/0/function/arguments"),
    ({"messages": [USER] * 4097}, "/messages"),
    ({"tools": [{}] * 129}, "/tools"),
    ({"format": "xml"}, "/format"),
    ({"think": "hard"}, "/think"),
    ({"model": None}, "/model"),
    ({"model": ""}, "/model"),
    ({"stream": "perhaps"}, "/stream"),
    ({"keep_alive": "x" * 101}, "/keep_alive"),
]  # fmt: skip


async def test_a_body_against_the_schema_is_400(world: World, person: Person) -> None:
    for more, named in MISTAKEN:
        response = await person.http.post(CHAT, content=json.dumps(asks(**more)).encode(), headers=JSON)
        told = error_of(response, 400)
        assert told.startswith("The request does not fit its schema."), more
        assert named in told, more
    assert not await world.streams.open(person.account.id)


async def test_every_error_below_ollama_has_its_body(client: httpx.AsyncClient, person: Person) -> None:
    response = await client.get("/ollama/api/tags")
    error_of(response, 401)
    assert response.headers["www-authenticate"] == "Bearer"
    error_of(await client.post(CHAT, json=asks()), 401)
    error_of(await client.get("/ollama/nothing"), 404)
    error_of(await client.post("/ollama/api/pull", json={"model": "x"}), 404)
    error_of(await client.get(CHAT), 405)
    error_of(await person.http.post(CHAT, content=b"{", headers=JSON), 400)
    error_of(await person.http.post(CHAT, content=b"", headers=JSON), 400)
    error_of(await person.http.post(CHAT, content=b"a=b"), 400)
    huge = json.dumps(asks(messages=[{**USER, "thinking": "x" * 1024 * 1024}])).encode()
    error_of(await person.http.post(CHAT, content=huge, headers=JSON), 413)
    response = await person.http.post(CHAT, json=asks(model="nothing"))
    assert error_of(response, 404) == 'model "nothing" not found, try pulling it first'
    assert response.headers["x-request-id"]


async def test_a_context_that_surely_does_not_fit(world: World, person: Person) -> None:
    long = [{"role": "user", "content": "a" * 40_000}]
    assert "4096" in error_of(await person.http.post(CHAT, json=asks(messages=long)), 400)
    longer = [{"role": "user", "content": "a" * 200_000}] * 3
    error_of(await person.http.post(CHAT, json=asks(messages=longer)), 413)
    await world.serves("vague", context_length=None)
    backend = ScriptedBackend(says("So."))
    backend.serves = ("vague",)
    async with world.working(backend):
        body = asks(model="vague", options={"num_ctx": 100_000}, stream=False)
        assert (await person.http.post(CHAT, json=body)).status_code == 200  # it may have as many


async def test_what_does_not_answer_now_is_to_be_tried_again(world: World, person: Person) -> None:
    for error in (Unavailable("down"), Overloaded("full", 3000)):

        async def fails(error: Exception = error) -> None:
            raise error

        world.bus.before = fails
        response = await person.http.post(CHAT, json=asks())
        error_of(response, 503)
        assert int(response.headers["retry-after"]) >= 1
    assert await world.nothing_is_left(person.account.id)


async def test_a_body_is_json_whatever_its_type_says_as_with_ollama_and_curl(world: World, person: Person) -> None:
    for kind in ({"Content-Type": "application/x-www-form-urlencoded"}, {}):
        body = json.dumps({"model": "small", "messages": []}).encode()
        answer = await person.http.post(CHAT, content=body, headers=kind)
        assert (answer.status_code, answer.json()["done_reason"]) == (200, "load")


async def test_a_model_that_only_embeds_is_no_model_to_talk_to(world: World, person: Person) -> None:
    vectors = BackendModel(name="vectors", backend="one", capabilities=("embedding",))
    await world.serves("vectors", served_by=(vectors,), known=vectors)
    assert "only embeds" in error_of(await person.http.post(CHAT, json=asks(model="vectors")), 400)
    native = await person.http.post("/api/chats/stream", json={"model": "vectors", "content": "Hello"})
    problem(native, 400, "model_cannot_chat")
    assert (await person.http.get("/api/chats")).json()["items"] == []
