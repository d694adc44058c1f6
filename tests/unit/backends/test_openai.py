"""The dialects of OpenAI's protocol: what is sent, and what comes back in odd shapes."""

import json

import pytest

from contracts.commands import SamplingOptions, Turn
from contracts.errors import BackendFailed
from contracts.generation import ToolCallData, Usage
from contracts.ports.backend import Backend, CallTool, Done, Piece, Text, ThinkingText
from tests.unit.backends.raw import RawServer, Reply, json_reply, read, text_of

CHAT = "/v1/chat/completions"
HI = {"content": "Hi"}
STOP = {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}
COUNTED = {"choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 2}}


def delta(reason: str | None = None, **fields: object) -> dict[str, object]:
    return {"choices": [{"index": 0, "delta": fields, "finish_reason": reason}]}


def call(index: int, name: str | None = None, arguments: str | None = None, **more: object) -> dict[str, object]:
    return delta(tool_calls=[{"index": index, "function": {"name": name, "arguments": arguments}, **more}])


def events(*values: object, done: bool = True) -> Reply:
    lines = [b"data: " + json.dumps(value).encode() + b"\n\n" for value in values]
    return Reply((b"".join(lines) + (b"data: [DONE]\n\n" if done else b""),))


async def said(raw: RawServer, backend: Backend, *values: object, done: bool = True) -> list[Piece]:
    raw.says(CHAT, events(*values, done=done))
    return await read(backend)


def calls(pieces: list[Piece]) -> list[tuple[str, dict[str, object]]]:
    return [(piece.call.name, piece.call.arguments) for piece in pieces if isinstance(piece, CallTool)]


async def test_usage_comes_in_a_chunk_of_its_own_or_with_the_last(raw: RawServer, openai: Backend) -> None:
    expected = Done("stop", Usage(input_tokens=3, output_tokens=2))
    assert (await said(raw, openai, delta(**HI), STOP, COUNTED))[-1] == expected
    assert (await said(raw, openai, delta(**HI), STOP | {"usage": COUNTED["usage"]}))[-1] == expected
    running = delta(**HI) | {"usage": {"prompt_tokens": 3, "completion_tokens": 1}}
    assert (await said(raw, openai, running, STOP | {"usage": None}, COUNTED))[-1] == expected


async def test_a_server_that_counts_nothing_is_counted(raw: RawServer, openai: Backend) -> None:
    assert (await said(raw, openai, delta(**HI), delta(**HI), STOP))[-1] == Done("stop", Usage(output_tokens=2))


async def test_empty_deltas_are_no_pieces(raw: RawServer, openai: Backend) -> None:
    pieces = await said(
        raw, openai, delta(role="assistant", content=None), delta(content=""), {"choices": [{}]}, delta(**HI), STOP
    )
    assert pieces[:-1] == [Text("Hi")]


@pytest.mark.parametrize("field", ["reasoning_content", "reasoning"])
async def test_thinking_has_two_names(raw: RawServer, openai: Backend, field: str) -> None:
    pieces = await said(raw, openai, delta(**{field: "Hm."}), delta(**HI), STOP)
    assert pieces[:-1] == [ThinkingText("Hm."), Text("Hi")]


@pytest.mark.parametrize(
    ("told", "known"),
    [("stop", "stop"), ("length", "length"), ("tool_calls", "tool_calls"), ("content_filter", "stop"), (None, "stop")],
)
async def test_reasons_are_one_of_three(raw: RawServer, openai: Backend, told: str | None, known: str) -> None:
    done = (await said(raw, openai, delta(told, **HI)))[-1]
    assert isinstance(done, Done)
    assert done.finish_reason == known


async def test_a_told_reason_ends_an_answer_whose_mark_is_missing(raw: RawServer, openai: Backend) -> None:
    pieces = await said(raw, openai, delta(**HI), STOP, COUNTED, done=False)
    assert pieces[-1] == Done("stop", Usage(input_tokens=3, output_tokens=2))


async def test_what_comes_after_the_mark_is_not_read(raw: RawServer, openai: Backend) -> None:
    raw.says(CHAT, Reply((b"data: [DONE]\n\ndata: nonsense\n\n",), ending="silent"))
    assert text_of(await read(openai)) == ""


async def test_tool_calls_are_collected_from_their_pieces(raw: RawServer, openai: Backend) -> None:
    pieces = await said(
        raw, openai, delta(**HI), call(0, "add", "", id="a"), call(0, arguments='{"x": '), call(1, "now", id="b"),
        call(0, arguments='"é'), call(0, arguments='"}'), delta("tool_calls"),
    )  # fmt: skip
    assert pieces[0] == Text("Hi")
    assert pieces[1:3] == [
        CallTool(ToolCallData(id="a", name="add", arguments={"x": "é"})), CallTool(ToolCallData(id="b", name="now")),
    ]  # fmt: skip
    assert pieces[-1] == Done("tool_calls", Usage(output_tokens=1))


async def test_another_id_under_the_same_index_is_another_call(raw: RawServer, openai: Backend) -> None:
    pieces = await said(raw, openai, call(0, "one", "{}", id="a"), call(0, "two", "{}", id="b"), STOP)
    assert calls(pieces) == [("one", {}), ("two", {})]
    assert pieces[-1] == Done("tool_calls", Usage())


async def test_calls_without_ids_get_some(raw: RawServer, openai: Backend) -> None:
    pieces = await said(raw, openai, call(0, "one", "{}"), call(1, "two", "{}"), STOP)
    assert len({piece.call.id for piece in pieces if isinstance(piece, CallTool)}) == 2


@pytest.mark.parametrize("arguments", ["{", "[1]", "7", "{}{}"])
async def test_arguments_that_are_no_object_are_garbage(raw: RawServer, openai: Backend, arguments: str) -> None:
    with pytest.raises(BackendFailed) as failed:
        await said(raw, openai, call(0, "one", arguments), STOP)
    assert failed.value.code == "backend_garbage"


async def test_a_call_that_the_limit_cut_is_left_out(raw: RawServer, openai: Backend) -> None:
    pieces = await said(raw, openai, call(0, "one", "{}"), call(1, "two", '{"x": '), delta("length"))
    assert calls(pieces) == [("one", {})]
    assert pieces[-1] == Done("length", Usage())


async def test_endless_calls_are_garbage(raw: RawServer, openai: Backend) -> None:
    for endless in ([call(0, "one", "x" * 100_000)] * 3, [call(number, "one") for number in range(200)]):
        with pytest.raises(BackendFailed) as failed:
            await said(raw, openai, *endless)
        assert failed.value.code == "backend_garbage"


@pytest.mark.parametrize(
    ("event", "code", "retryable"),
    [
        ({"error": {"message": "It fell over.", "type": "server_error"}}, "backend_error", True),
        ({"error": {"message": "No such grammar.", "code": 400}}, "backend_error", False),
        ({"object": "error", "message": "It fell over.", "code": 500}, "backend_error", True),
        ({"choices": 7}, "backend_garbage", True),
        ([], "backend_garbage", True),
    ],
)
async def test_an_error_in_mid_stream_fails_the_run(
    raw: RawServer, openai: Backend, event: object, code: str, *, retryable: bool
) -> None:
    raw.says(CHAT, events(delta(**HI), event))
    with pytest.raises(BackendFailed) as failed:
        await read(openai)
    assert (failed.value.code, failed.value.retryable) == (code, retryable)


async def test_a_bare_error_under_status_200_fails_the_run(raw: RawServer, openai: Backend) -> None:
    raw.says(CHAT, Reply((b'{"error": {"message": "It fell over."}}',)))
    with pytest.raises(BackendFailed, match=r"gpu-1 broke off: It fell over\.") as failed:
        await read(openai)
    assert failed.value.code == "backend_error"


async def test_llama_cpp_that_answers_with_another_model_is_an_error_for_good(raw: RawServer, openai: Backend) -> None:
    raw.says(CHAT, events(delta(**HI) | {"model": "tiny", "system_fingerprint": "b6432-abc"}))
    with pytest.raises(BackendFailed) as failed:
        await read(openai, model="large")
    assert (failed.value.code, failed.value.retryable) == ("backend_error", False)
    raw.says(CHAT, events(delta(**HI) | {"model": "gpt-5-2026-08-07", "system_fingerprint": "fp_44709d6fcb"}))
    assert text_of(await read(openai, model="gpt-5")) == "Hi"


async def test_a_request_is_said_as_openai_has_it(raw: RawServer, openai: Backend) -> None:
    raw.says(CHAT, events(STOP))
    schema = {"type": "object"}
    tool = {"type": "function", "function": {"name": "add"}}
    context = (
        Turn(role="user", content="1 + 1?"),
        Turn(role="assistant", content="", tool_calls=(ToolCallData(id="c1", name="add", arguments={"x": 1}),)),
        Turn(role="tool", content="2"),
    )
    options = SamplingOptions(temperature=0, max_tokens=5, stop=("\n",), seed=1)
    await read(openai, context=context, options=options, format=schema, tools=(tool,), think=False)
    assert raw.body() == {
        "model": "small", "stream": True, "stream_options": {"include_usage": True},
        "messages": [
            {"role": "user", "content": "1 + 1?"},
            {"role": "assistant", "content": "", "tool_calls": [
                {"id": "c1", "type": "function", "function": {"name": "add", "arguments": '{"x":1}'}}]},
            {"role": "tool", "content": "2", "tool_call_id": "c1"},
        ],
        "temperature": 0, "max_tokens": 5, "stop": ["\n"], "seed": 1, "tools": [tool],
        "response_format": {"type": "json_schema", "json_schema": {"name": "reply", "schema": schema}},
        "chat_template_kwargs": {"enable_thinking": False},
    }  # fmt: skip


async def test_nothing_is_sent_that_was_not_asked_for(raw: RawServer, openai: Backend) -> None:
    raw.says(CHAT, events(STOP))
    await read(openai)
    assert set(raw.body()) == {"model", "messages", "stream", "stream_options"}


async def test_a_models_context_is_told_in_several_ways(raw: RawServer, openai: Backend) -> None:
    listed = [{"id": "a:latest", "max_model_len": 4096}, {"id": "b", "context_length": 2048}, {"id": "c"}]
    raw.says("/v1/models", json_reply({"object": "list", "data": listed}))
    assert [(one.name, one.context_length) for one in await openai.models()] == [("a", 4096), ("b", 2048), ("c", None)]
    raw.says("/v1/models", json_reply({"data": [{"id": "d", "meta": {"n_ctx_train": 8192, "size": 7}}]}))
    (trained,) = await openai.models()
    raw.says("/props", json_reply({"default_generation_settings": {"n_ctx": 1024}}))
    (running,) = await openai.models()
    assert (trained.context_length, running.context_length, running.size_bytes) == (8192, 1024, 7)


@pytest.mark.parametrize("body", [b"<html></html>", b"{}", b'{"data": 7}', b"\xff", b""])
async def test_a_list_of_another_shape_is_garbage(raw: RawServer, openai: Backend, body: bytes) -> None:
    raw.says("/v1/models", Reply((body,) if body else ()))
    with pytest.raises(BackendFailed) as failed:
        await openai.models()
    assert failed.value.code == "backend_garbage"


async def test_the_beginning_of_the_reply_is_the_last_turn_with_what_vllm_needs(
    raw: RawServer, openai: Backend
) -> None:
    raw.says(CHAT, events(delta(content=" there."), STOP))
    assert text_of(await read(openai, said="Hello ")) == "there."
    body = raw.body()
    assert body["messages"] == [{"role": "user", "content": "Hello?"}, {"role": "assistant", "content": "Hello"}]
    assert (body["continue_final_message"], body["add_generation_prompt"]) == (True, False)


async def test_without_a_beginning_nothing_is_said_about_going_on(raw: RawServer, openai: Backend) -> None:
    for said_before in ("", " \n"):
        raw.says(CHAT, events(delta(**HI), STOP))
        await read(openai, said=said_before)
        assert raw.body()["messages"] == [{"role": "user", "content": "Hello?"}]
        assert not {"continue_final_message", "add_generation_prompt"} & raw.body().keys()
