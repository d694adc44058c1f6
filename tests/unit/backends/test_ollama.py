"""Ollama's native protocol: what is sent, what comes back, and what is known of its models."""

import json

import pytest

from contracts.commands import SamplingOptions, Turn
from contracts.errors import BackendFailed
from contracts.generation import ToolCallData, Usage
from contracts.ports.backend import Backend, CallTool, Done, Text, ThinkingText
from infra.ollama.shown import LARGEST_CONTEXT, Shown
from tests.unit.backends.raw import RawServer, Reply, json_reply, read

CHAT = "/api/chat"
HI = {"message": {"role": "assistant", "content": "Hi"}, "done": False}
END = {
    "message": {"role": "assistant", "content": ""}, "done": True, "done_reason": "stop", "prompt_eval_count": 3, "eval_count": 1,
    "load_duration": 812_900_000,
}  # fmt: skip


def lines(*values: object) -> Reply:
    return Reply(
        tuple(json.dumps(value).encode() + b"\n" for value in values), headers=("Content-Type: application/x-ndjson",)
    )


def has(raw: RawServer, *tags: dict[str, object], shown: dict[str, object]) -> None:
    raw.says("/api/tags", json_reply({"models": list(tags)}))
    raw.says("/api/show", json_reply(shown))


async def test_the_end_tells_usage_and_loading(raw: RawServer, ollama: Backend) -> None:
    raw.says(CHAT, lines(HI, END))
    assert await read(ollama) == [Text("Hi"), Done("stop", Usage(input_tokens=3, output_tokens=1), load_ms=812)]


async def test_the_end_may_bring_the_last_words(raw: RawServer, ollama: Backend) -> None:
    raw.says(CHAT, lines(HI | {"done": True, "done_reason": "length"}))
    assert await read(ollama) == [Text("Hi"), Done("length", Usage())]


async def test_thinking_and_calls_are_pieces_of_their_own(raw: RawServer, ollama: Backend) -> None:
    called = [{"function": {"name": "add", "arguments": {"x": 1}}}, {"function": {"name": "now", "arguments": {}}}]
    raw.says(CHAT, lines({"message": {"thinking": "Hm."}}, {"message": {"content": "", "tool_calls": called}}, END))
    thinking, first, second, done = await read(ollama)
    assert thinking == ThinkingText("Hm.")
    assert isinstance(first, CallTool)
    assert isinstance(second, CallTool)
    assert [(one.call.name, one.call.arguments) for one in (first, second)] == [("add", {"x": 1}), ("now", {})]
    assert first.call.id != second.call.id
    assert isinstance(done, Done)
    assert done.finish_reason == "tool_calls"


async def test_an_error_line_fails_the_run(raw: RawServer, ollama: Backend) -> None:
    raw.says(CHAT, lines(HI, {"error": "the model runner has unexpectedly stopped"}))
    with pytest.raises(BackendFailed, match="gpu-1 broke off: the model runner has unexpectedly stopped") as failed:
        await read(ollama)
    assert (failed.value.code, failed.value.retryable) == ("backend_error", True)


@pytest.mark.parametrize(
    "line", [b"nonsense", b'{"message": 7}', b"[]", b'{"message": {"content": "\xff"}}', b"data: {}"]
)
async def test_a_line_of_another_shape_is_garbage(raw: RawServer, ollama: Backend, line: bytes) -> None:
    raw.says(CHAT, Reply((line + b"\n",)))
    with pytest.raises(BackendFailed) as failed:
        await read(ollama)
    assert failed.value.code == "backend_garbage"


async def test_a_question_that_was_cut_to_the_context_is_too_long(raw: RawServer, ollama: Backend) -> None:
    raw.says(CHAT, lines(HI, END | {"prompt_eval_count": LARGEST_CONTEXT}))
    with pytest.raises(BackendFailed) as failed:
        await read(ollama)
    assert (failed.value.code, failed.value.retryable) == ("context_too_long", False)


async def test_a_request_is_said_as_ollama_has_it(raw: RawServer, ollama: Backend) -> None:
    raw.says(CHAT, lines(END))
    tool = {"type": "function", "function": {"name": "add"}}
    context = (
        Turn(role="system", content="Be brief."),
        Turn(role="assistant", content="", tool_calls=(ToolCallData(id="c1", name="add", arguments={"x": 1}),)),
        Turn(role="tool", content="2"),
        Turn(role="tool", content="nobody asked"),
    )
    options = SamplingOptions(temperature=0, max_tokens=5, stop=("\n",), seed=1)
    await read(ollama, context=context, options=options, format="json", tools=(tool,), think=True)
    assert raw.body() == {
        "model": "small", "stream": True, "truncate": False, "think": True, "format": "json", "tools": [tool],
        "messages": [
            {"role": "system", "content": "Be brief."},
            {"role": "assistant", "content": "", "tool_calls": [{"function": {"name": "add", "arguments": {"x": 1}}}]},
            {"role": "tool", "content": "2", "tool_name": "add"},
            {"role": "tool", "content": "nobody asked"},
        ],
        "options": {"temperature": 0, "num_predict": 5, "stop": ["\n"], "seed": 1, "num_ctx": LARGEST_CONTEXT},
    }  # fmt: skip


async def test_a_call_asks_for_the_context_and_stops_of_its_modelfile(raw: RawServer, ollama: Backend) -> None:
    parameters = 'num_ctx                        2048\nstop                           "<|im_end|>"\ntemperature 0.5'
    has(raw, {"name": "small:latest"}, shown={"capabilities": ["completion"], "parameters": parameters})
    await ollama.models()
    raw.says(CHAT, lines(END))
    await read(ollama, options=SamplingOptions(stop=("x",)))
    assert raw.body()["options"] == {"stop": ["x", "<|im_end|>"], "num_ctx": 2048}
    await read(ollama)
    assert raw.body()["options"] == {"num_ctx": 2048}


@pytest.mark.parametrize(
    ("trained", "parameters", "context"),
    [
        (131072, "", LARGEST_CONTEXT), (2048, "", 2048), (None, "", LARGEST_CONTEXT), (131072, "num_ctx 32768", 32768),
        (2048, "num_ctx 32768", 2048), (131072, "num_ctx", LARGEST_CONTEXT), (131072, "num_ctx many", LARGEST_CONTEXT),
    ],
)  # fmt: skip
def test_a_context_is_what_the_modelfile_says_or_what_is_affordable(
    trained: int | None, parameters: str, context: int
) -> None:
    assert Shown(model_info={"llama.context_length": trained}, parameters=parameters).context == context


async def test_a_model_is_described(raw: RawServer, ollama: Backend) -> None:
    details = {"family": "llama", "parameter_size": "3B", "quantization_level": "Q4_0"}
    shown = {
        "capabilities": ["completion", "tools"], "license": "\nApache-2.0\nmore",
        "model_info": {"llama.context_length": 4096, "general.description": "A small model."},
    }  # fmt: skip
    has(raw, {"name": "hub/small:latest", "digest": "d1", "size": 7, "details": details}, shown=shown)
    (model,) = await ollama.models()
    assert model.model_dump(exclude_none=True) == {
        "name": "hub/small", "backend": "gpu-1", "pool": "large", "digest": "d1", "capabilities": ("chat", "tools"),
        "family": "llama", "parameter_size": "3B", "quantization": "Q4_0", "size_bytes": 7, "context_length": 4096,
        "license": "Apache-2.0", "description": "A small model.", "sees": False,
    }  # fmt: skip


async def test_models_that_only_embed_are_listed_as_such(raw: RawServer, ollama: Backend) -> None:
    has(raw, {"name": "nomic"}, shown={"capabilities": ["embedding"]})
    (model,) = await ollama.models()
    assert (model.name, model.capabilities) == ("nomic", ("embedding",))


async def test_models_of_no_use_are_left_out(raw: RawServer, ollama: Backend) -> None:
    has(raw, {"name": "painter"}, shown={"capabilities": ["image"]})
    assert await ollama.models() == []


async def test_an_ollama_that_tells_no_capabilities_chats(raw: RawServer, ollama: Backend) -> None:
    has(raw, {"name": "old:7b"}, shown={"model_info": None})
    (model,) = await ollama.models()
    assert (model.name, model.capabilities) == ("old:7b", ("chat",))


@pytest.mark.parametrize("body", [{"models": None}, {"models": []}, {}])
async def test_no_models_are_no_models(raw: RawServer, ollama: Backend, body: object) -> None:
    raw.says("/api/tags", json_reply(body))
    assert await ollama.models() == []


async def test_a_model_is_looked_at_once_for_each_digest(raw: RawServer, ollama: Backend) -> None:
    for digest in ("d1", "d1", "d2", "d2"):
        has(raw, {"name": "small", "digest": digest}, shown={"capabilities": ["completion"]})
        assert len(await ollama.models()) == 1
    assert [one.path for one in raw.asked].count("/api/show") == 2


async def test_a_model_that_cannot_be_read_hides_no_other(raw: RawServer, ollama: Backend) -> None:
    has(raw, {"name": "small", "digest": "d1"}, shown={"capabilities": ["completion"]})
    await ollama.models()
    raw.says("/api/tags", json_reply({"models": [{"name": "small", "digest": "d1"}, {"name": "gone", "digest": "d2"}]}))
    raw.says("/api/show", json_reply({"error": "model 'gone' not found"}, "404 Not Found"))
    assert [one.name for one in await ollama.models()] == ["small"]


async def test_a_list_that_breaks_off_is_a_failure(raw: RawServer, ollama: Backend) -> None:
    raw.says("/api/tags", Reply((b'{"models": [',), ending="cut"))
    with pytest.raises(BackendFailed) as failed:
        await ollama.models()
    assert failed.value.code == "backend_cut"
    raw.says("/api/tags", json_reply({"models": [{"name": "small"}]}))
    raw.says("/api/show", Reply((b"<html>",)))
    with pytest.raises(BackendFailed) as failed:
        await ollama.models()
    assert failed.value.code == "backend_garbage"


async def test_the_beginning_of_the_reply_is_the_last_turn(raw: RawServer, ollama: Backend) -> None:
    raw.says(CHAT, lines({"message": {"content": "\n"}}, {"message": {"content": "Two."}}, END))
    assert (await read(ollama, said="One.\n"))[:-1] == [Text("Two.", tokens=2)]
    assert raw.body()["messages"] == [{"role": "user", "content": "Hello?"}, {"role": "assistant", "content": "One."}]
