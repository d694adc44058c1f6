"""What a `Backend` is: the same behaviour of every adapter on every server."""

import asyncio
import json
from collections.abc import AsyncGenerator
from contextlib import aclosing
from datetime import UTC, datetime

import pytest

from contracts.commands import NamedTool, SamplingOptions, Turn
from contracts.errors import BackendFailed
from contracts.ids import new_id
from contracts.ports.backend import PROBE, CallTool, ChatRequest, Done, Text
from contracts.records import BackendSettings
from infra.backends.opening import opened
from infra.local.weights import CONTEXT, NAME
from tests.contract.ports.backends import FAKES, GREEDY, PATIENT, REAL, Server, settings_of, whole
from tests.eventually import eventually
from tests.servers.ollama import NARROW_CONTEXT
from tests.servers.shared import free_port

on_fakes = pytest.mark.parametrize("server", FAKES, indirect=True)
on_openai = pytest.mark.parametrize("server", ["fake-openai"], indirect=True)
on_real = pytest.mark.parametrize("server", REAL, indirect=True)


@pytest.fixture(params=[*FAKES, *REAL])
async def server(request: pytest.FixtureRequest) -> AsyncGenerator[Server, None]:
    settings, model = settings_of(request.param, request)
    async with opened(settings, allow_private=True) as backend:
        yield Server(request.param, settings.url, model, backend)


async def test_pieces_arrive_one_by_one_before_the_end(server: Server) -> None:
    answer = await server.answer("Tell me about the sea. " * 4, options=SamplingOptions(max_tokens=32))
    assert all(isinstance(piece, Text) and piece.text for piece in answer.pieces[:-1])
    assert len(answer.pieces) > 8
    # told as they are made: at 80 tokens a second 32 take 400 ms; what waits for the whole answer comes within 1 ms
    assert answer.times[-1] - answer.times[0] > 0.02


async def test_the_end_tells_why_and_how_much(server: Server) -> None:
    done = (await server.answer("Say one word.", options=SamplingOptions(max_tokens=12))).done
    assert done.finish_reason in ("stop", "length")
    assert done.usage.input_tokens > 0
    assert 0 < done.usage.output_tokens <= 12
    assert done.load_ms >= 0


async def test_a_longer_context_counts_for_more(server: Server) -> None:
    options = SamplingOptions(max_tokens=2)
    short = await server.answer("Hello.", options=options)
    long = await server.answer("Hello.", "Hello, how can I help you today?", "Tell me more.", options=options)
    assert long.done.usage.input_tokens > short.done.usage.input_tokens


async def test_a_limit_of_tokens_ends_as_length(server: Server) -> None:
    done = (await server.answer("Count to a thousand, please.", options=SamplingOptions(max_tokens=5))).done
    assert (done.finish_reason, done.usage.output_tokens) == ("length", 5)


async def test_a_stop_string_ends_the_answer_and_is_not_shown(server: Server) -> None:
    options = SamplingOptions(stop=("e",), max_tokens=64, temperature=0, seed=7)
    answer = await server.answer("Tell me everything about elephants.", options=options)
    assert "e" not in answer.text
    assert answer.done.finish_reason == "stop"
    assert answer.done.usage.output_tokens < 64


async def test_any_script_arrives_whole(server: Server) -> None:
    answer = await server.answer("Ωραία! 火星 🔴 é\u2028naïve", options=SamplingOptions(max_tokens=24))
    assert "\ufffd" not in answer.text
    if server.name in FAKES:
        assert "Ωραία! 火星 🔴 é\u2028naïve" in answer.text


@on_real
async def test_at_temperature_zero_the_same_question_has_the_same_answer(server: Server) -> None:
    # a question whose every next token is clear (2 nats before the runner-up): numbers differ a little with what else is computed
    # beside it, and "The capital of France is" went two ways on a busy server
    counting = ("Count.", "1 2 3 4 5 6 7 8 9 10 11 12", "Count.", "1 2 3 4 5 6 7 8 9 10 11 12", "Count.")
    first, second = [await server.answer(*counting, options=GREEDY) for _ in range(2)]
    assert first.text
    assert first.text == second.text


@on_fakes
async def test_the_system_prompt_and_all_turns_arrive_in_order(server: Server) -> None:
    words = new_id()
    said = [("system", "Be brief."), ("user", "One?"), ("assistant", "One."), ("user", words)]
    turns = tuple(Turn(role=role, content=content) for role, content in said)  # type: ignore[arg-type]
    answer = await whole(server.backend, ChatRequest(model=server.model, context=turns))
    assert answer.text == f"[4 messages] You said: {words}"
    heard = (await server.call(words))["messages"]
    assert [(one["role"], one["content"]) for one in heard] == said  # type: ignore[union-attr]


@on_fakes
async def test_closing_in_mid_stream_closes_the_connection(server: Server) -> None:
    words = new_id()
    async with aclosing(server.backend.chat(server.request(words, model="slow"))) as pieces:
        await anext(pieces)
        await anext(pieces)

    async def noticed() -> bool:
        return (await server.call(words))["ended"] == "client_closed"

    await eventually(noticed, seconds=1)


@on_fakes
@pytest.mark.parametrize("model", ["slow", "silent"])
async def test_cancelling_the_reader_closes_the_connection(server: Server, model: str) -> None:
    words = new_id()
    reading = asyncio.create_task(whole(server.backend, server.request(words, model=model)))
    await eventually(lambda: server.call(words), seconds=PATIENT)
    reading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reading

    async def noticed() -> bool:
        return (await server.call(words))["ended"] == "client_closed"

    await eventually(noticed, seconds=1)


@on_real
async def test_closing_in_mid_stream_stops_the_model(server: Server) -> None:
    """Four runs of a minute each fill every slot; closed, they leave it to the next question at once."""
    endless = SamplingOptions(max_tokens=3000, temperature=1.2)
    runs = [server.backend.chat(server.request("Never stop talking.", options=endless)) for _ in range(4)]
    begun = [asyncio.create_task(anext(run)) for run in runs]
    await asyncio.wait(begun, return_when=asyncio.FIRST_COMPLETED)
    for task in begun:
        task.cancel()
    await asyncio.gather(*begun, return_exceptions=True)
    for run in runs:
        await run.aclose()
    async with asyncio.timeout(PATIENT):
        answer = await server.answer("Hello.", options=SamplingOptions(max_tokens=2))
    assert answer.done.usage.output_tokens > 0


@pytest.mark.parametrize("kind", ["ollama", "openai"])
async def test_a_server_that_is_down_is_unreachable_and_worth_another_try(kind: str) -> None:
    settings = BackendSettings(name="gone", kind=kind, url=f"http://127.0.0.1:{free_port()}")  # type: ignore[arg-type]
    async with opened(settings, allow_private=True) as backend:
        for call in (
            whole(backend, ChatRequest(model="small", context=(Turn(role="user", content="Hello?"),))),
            backend.models(),
        ):
            with pytest.raises(BackendFailed) as failed:
                await call
            assert (failed.value.code, failed.value.retryable) == ("backend_unreachable", True)
            assert str(failed.value) == "gone does not answer."


async def test_a_model_that_it_does_not_have_is_an_error_for_good(server: Server) -> None:
    with pytest.raises(BackendFailed) as failed:
        await server.answer("Hello?", model="no-such-model")
    assert (failed.value.code, failed.value.retryable) == ("backend_error", False)
    assert "no-such-model" in str(failed.value)


@on_fakes
@pytest.mark.parametrize(
    ("model", "code", "retryable"),
    [
        ("down", "backend_error", True),
        ("refuse", "backend_error", False),
        ("cut", "backend_cut", True),
        ("garbage", "backend_garbage", True),
        ("error", "backend_error", True),
        ("silent", "first_token_timeout", True),
        ("stall", "token_timeout", True),
    ],
)
async def test_a_failure_has_its_code(server: Server, model: str, code: str, *, retryable: bool) -> None:
    timeouts = {"first_token_timeout": 0.3 if model == "silent" else PATIENT, "token_timeout": 0.3}
    words = new_id()
    with pytest.raises(BackendFailed) as failed:
        await server.answer(words, model=model, **timeouts)
    assert (failed.value.code, failed.value.retryable) == (code, retryable)
    assert str(failed.value).startswith(server.name)


@on_fakes
async def test_a_failure_comes_after_the_pieces_before_it(server: Server) -> None:
    pieces = server.backend.chat(server.request("a b c d", model="cut"))
    seen = [await anext(pieces) for _ in range(3)]
    assert "".join(piece.text for piece in seen if isinstance(piece, Text)) == "[1 messages] You"
    with pytest.raises(BackendFailed):
        await anext(pieces)


@on_fakes
async def test_what_failed_once_may_succeed_the_next_time(server: Server) -> None:
    words = new_id()
    with pytest.raises(BackendFailed) as failed:
        await server.answer(words, model="flaky")
    assert failed.value.retryable
    assert words in (await server.answer(words, model="flaky")).text


async def test_models_are_listed_by_the_name_that_calls_use(server: Server) -> None:
    listed = {one.name: one for one in await server.backend.models()}
    model = listed[server.model]
    assert not any(name.endswith(":latest") for name in listed)
    assert (model.backend, model.pool) == (server.backend.settings.name, "default")
    assert (model.context_length, "chat" in model.capabilities) == (CONTEXT, True)
    assert (await server.answer("Hello.", model=model.name, options=GREEDY)).text


async def test_what_answered_just_now_is_in_memory_where_the_protocol_tells(server: Server) -> None:
    await server.answer("Hello.", options=GREEDY)
    loaded = {one.name: one for one in await server.backend.loaded()}
    if server.backend.settings.kind == "ollama":
        model = loaded[server.model]
        assert model.size_bytes
        assert model.expires_at is not None
        assert model.expires_at > datetime.now(UTC)
    else:
        assert loaded == {}


@on_real
async def test_a_question_too_long_for_the_model_says_so(server: Server) -> None:
    model, size = (NAME, CONTEXT) if server.name == "small-model" else ("narrow", NARROW_CONTEXT)
    listed = {one.name: one.context_length for one in await server.backend.models()}
    assert listed[model] == size
    with pytest.raises(BackendFailed) as failed:
        await server.answer("word " * (size + 200), model=model, options=GREEDY)
    assert (failed.value.code, failed.value.retryable) == ("context_too_long", False)


@on_real
async def test_a_schema_is_kept_to(server: Server) -> None:
    colour = {"type": "string", "enum": ["red", "green", "blue"]}
    schema = {"type": "object", "properties": {"colour": colour}, "required": ["colour"], "additionalProperties": False}
    options = SamplingOptions(max_tokens=64, temperature=0, seed=7)
    answer = await server.answer("Which colour has the sky?", format=schema, options=options)
    said = json.loads(answer.text)
    assert list(said) == ["colour"]
    assert said["colour"] in colour["enum"]


@on_real
async def test_json_is_answered_when_asked_for(server: Server) -> None:
    options = SamplingOptions(max_tokens=48, temperature=0, seed=7)
    answer = await server.answer("Which colour has the sky?", format="json", options=options)
    assert answer.text.lstrip().startswith(("{", "["))
    if answer.done.finish_reason == "stop":  # a model this small seldom finds the end of an object
        assert isinstance(json.loads(answer.text), dict | list)


async def test_twenty_calls_at_once_are_twenty_answers(server: Server) -> None:
    words = [f"Number {number}." for number in range(20)]
    options = SamplingOptions(max_tokens=8)
    async with asyncio.timeout(60):
        answers = await asyncio.gather(*(server.answer(one, options=options, first_token_timeout=60) for one in words))
    assert all(isinstance(one.done, Done) and one.done.usage.output_tokens > 0 for one in answers)
    if server.name in FAKES:
        assert [one.text for one in answers] == [f"[1 messages] You said: {one}" for one in words]


async def test_the_end_tells_how_long_it_took_in_one_way(server: Server) -> None:
    """The rate of the answer is its tokens over the time of writing, by whatever clock: within what is seen from here."""
    answer = await server.answer("Tell me about the sea. " * 4, options=SamplingOptions(max_tokens=32, seed=7))
    done, took = answer.done, answer.times[-1] - answer.times[0]
    assert done.prompt_ms is not None
    assert done.prompt_ms >= 0
    assert done.eval_ms is not None
    assert done.rate(took) == pytest.approx(done.usage.output_tokens / (done.eval_ms / 1000))
    assert done.eval_ms / 1000 == pytest.approx(took, rel=0.5, abs=0.25)
    assert done.rate(0) > 0


EVERYWHERE = SamplingOptions(
    temperature=0.7, top_p=0.9, top_k=20, min_p=0.05, typical_p=0.9, seed=7, max_tokens=6, stop=("zzz",), presence_penalty=0.1,
    frequency_penalty=0.1, repeat_penalty=1.2, repeat_last_n=-1, num_keep=4,
)  # fmt: skip


async def test_every_option_of_both_is_taken(server: Server) -> None:
    words = f"Say {new_id()} {new_id()}"
    done = (await server.answer(words, options=EVERYWHERE)).done
    assert 0 < done.usage.output_tokens <= 6
    if server.name not in FAKES:
        return
    sent, names = (await server.call(words))["sent"], {"num_keep": "n_keep"}
    if server.name == "fake-ollama":
        sent, names = sent["options"], {"max_tokens": "num_predict"}  # type: ignore[index]
    asked = {names.get(name, name): value for name, value in EVERYWHERE.model_dump(exclude_defaults=True).items()}
    asked |= {"stop": ["zzz"]} | ({"repeat_last_n": CONTEXT} if server.name == "fake-openai" else {})
    assert {name: sent[name] for name in asked} == asked  # type: ignore[index]


@on_real
async def test_a_penalty_changes_the_answer(server: Server) -> None:
    greedy = SamplingOptions(temperature=0, max_tokens=24, repeat_penalty=1.0)
    plain = await server.answer("Count.", "1 2 3 1 2 3 1 2 3 1 2 3", "Go on.", options=greedy)
    other = greedy.model_copy(update={"repeat_penalty": 2.0, "repeat_last_n": 64})
    assert (await server.answer("Count.", "1 2 3 1 2 3 1 2 3 1 2 3", "Go on.", options=other)).text != plain.text


TOOL = {"type": "function", "function": {"name": "f", "parameters": {"type": "object", "properties": {}}}}
UNDONE: dict[str, dict[str, object]] = {
    "logit_bias": {"options": SamplingOptions(logit_bias={"5": 1})},
    "mirostat": {"options": SamplingOptions(mirostat=2)},
    "tool_choice": {"tools": (TOOL,), "tool_choice": "required"},
    "parallel_tool_calls": {"tools": (TOOL,), "parallel_tool_calls": False},
}


@pytest.mark.parametrize("name", UNDONE)
async def test_what_a_server_would_pass_over_is_refused_by_name(server: Server, name: str) -> None:
    words, able = new_id(), server.backend.settings.kind == "openai"
    options = {"options": SamplingOptions(max_tokens=4), **UNDONE[name]}
    if able and name in ("logit_bias", "mirostat"):
        limited = UNDONE[name]["options"].model_copy(update={"max_tokens": 4})  # type: ignore[attr-defined]
        assert (await server.answer(words, options=limited)).done.usage.output_tokens
        return
    if server.name == "fake-openai" and name == "parallel_tool_calls":
        await server.answer(words, **options)
        sent = (await server.call(words))["sent"]
        assert (sent["parallel_tool_calls"], sent["tools"]) == (False, [TOOL])  # type: ignore[index]
        return
    with pytest.raises(BackendFailed) as failed:
        await server.answer(words, **options)
    assert (failed.value.code, failed.value.retryable) == ("option_unsupported", False)
    told = "tools" if server.name == "small-model" else name  # its template has no word for them
    assert str(failed.value).startswith(f"{told} is not supported by {server.name}")


@on_openai
async def test_a_tool_that_must_be_called_is_demanded(server: Server) -> None:
    words = new_id()
    answer = await server.answer(words, model="caller", tools=(TOOL,), tool_choice=NamedTool(name="f"))
    assert [type(one) for one in answer.pieces] == [CallTool, Done]
    sent = (await server.call(words))["sent"]
    assert (sent["tool_choice"], sent["tools"]) == ("required", [TOOL])  # type: ignore[index]


@on_fakes
async def test_how_much_to_think_and_how_long_to_stay(server: Server) -> None:
    words, ollama = new_id(), server.backend.settings.kind == "ollama"
    await server.answer(words, model="thinker", think=True, effort="max", keep_alive=900)
    sent: dict[str, object] = (await server.call(words))["sent"]  # type: ignore[assignment]
    if ollama:
        assert (sent["think"], sent["keep_alive"]) == (True, 900)
    else:
        assert sent["chat_template_kwargs"] == {"enable_thinking": True, "reasoning_effort": "high"}
        assert "keep_alive" not in sent


@on_openai
async def test_another_servers_own_option_is_refused(server: Server) -> None:
    words = new_id()
    await server.answer(words, model="formal", options=SamplingOptions(repeat_penalty=1.2), format="json")
    assert (await server.call(words))["sent"]["repetition_penalty"] == 1.2  # type: ignore[index]
    with pytest.raises(BackendFailed, match="typical_p is not supported by"):
        await server.answer(new_id(), model="formal", options=SamplingOptions(typical_p=0.5))


GOING_ON = {"fake-ollama": "slow", "fake-openai": "slow", "small-model": NAME, "ollama": "open"}


async def test_a_model_goes_on_from_what_it_said(server: Server) -> None:
    """Cut anywhere, also within and after its blanks, it says what it would have said."""
    options, model = SamplingOptions(temperature=0, max_tokens=16), GOING_ON[server.name]
    whole_answer = await server.answer(PROBE, model=model, options=options)
    texts = [piece.text for piece in whole_answer.pieces if isinstance(piece, Text)]
    for tokens in (5, 8, 11):
        said = "".join(texts[:tokens])
        rest = options.model_copy(update={"max_tokens": 16 - tokens})
        going_on = await server.answer(PROBE, model=model, options=rest, said=said)
        assert said + going_on.text == whole_answer.text
        assert going_on.done.finish_reason == whole_answer.done.finish_reason
        assert going_on.done.usage.output_tokens == 16 - tokens  # its own alone


@pytest.mark.parametrize(
    ("server", "model"), [("fake-ollama", "anew"), ("fake-openai", "anew"), ("ollama", "small")], indirect=["server"]
)
async def test_some_models_begin_anew(server: Server, model: str) -> None:
    options = SamplingOptions(temperature=0, max_tokens=16)
    text = (await server.answer(PROBE, model=model, options=options)).text
    said = text[: len(text) // 2]
    assert said + (await server.answer(PROBE, model=model, options=options, said=said)).text != text


@on_fakes
async def test_trailing_whitespace_is_not_sent_and_not_said_again(server: Server) -> None:
    words = new_id()
    answer = await server.answer(words, model="paced", options=SamplingOptions(max_tokens=3), said="0 1 2 ")
    assert answer.text == "3 4 5 "
    call = await server.call("0 1 2", question=words)
    assert (call["continued"], call["probe"], call["text"]) == (True, False, " 3 4 5 ")
