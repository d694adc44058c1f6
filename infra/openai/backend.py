"""`Backend` over OpenAI's chat completions: llama.cpp, vLLM, LM Studio, OpenAI itself."""

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing

import aiohttp
import msgspec

from contracts.commands import SamplingOptions, Turn
from contracts.errors import BackendFailed
from contracts.generation import Usage
from contracts.ports.backend import Backend, ChatRequest, Done, Piece, Text, ThinkingText
from contracts.records import BackendModel, BackendSettings
from infra.backends.lines import Patience, ask, cut, garbage, refusal, streamed_lines
from infra.openai.tool_calls import CallDelta, ToolCalls


class _Delta(msgspec.Struct):
    content: str | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None
    tool_calls: list[CallDelta] | None = None


class _Choice(msgspec.Struct):
    delta: _Delta | None = None
    finish_reason: str | None = None


class _Usage(msgspec.Struct):
    prompt_tokens: int = 0
    completion_tokens: int = 0


class _Chunk(msgspec.Struct):
    choices: list[_Choice] = []
    usage: _Usage | None = None
    error: object = None


class _Meta(msgspec.Struct):
    n_ctx_train: int | None = None
    size: int | None = None


class _Listed(msgspec.Struct):
    id: str
    max_model_len: int | None = None
    context_length: int | None = None
    meta: _Meta | None = None


class _List(msgspec.Struct):
    data: list[_Listed]


class _Generation(msgspec.Struct):
    n_ctx: int | None = None


class _Props(msgspec.Struct):
    default_generation_settings: _Generation | None = None


_chunks = msgspec.json.Decoder(_Chunk)
_REASONS = {"stop": "stop", "length": "length", "tool_calls": "tool_calls", "function_call": "tool_calls"}


class OpenAIBackend(Backend):
    """One server; its `url` with or without `/v1`. `http` is the caller's; it outlives the back-end."""

    def __init__(self, settings: BackendSettings, http: aiohttp.ClientSession) -> None:
        self.settings = settings
        self._http = http
        self._root = settings.url.rstrip("/").removesuffix("/v1")
        self._headers = {"Content-Type": "application/json"}
        if settings.api_key:
            self._headers["Authorization"] = f"Bearer {settings.api_key}"

    async def chat(self, request: ChatRequest) -> AsyncGenerator[Piece, None]:
        patience = Patience(request.first_token_timeout, request.token_timeout)
        url = f"{self._root}/v1/chat/completions"
        lines = streamed_lines(self._http, url, _body(request), self._headers, self.settings.name, patience)
        calls, usage, reason = ToolCalls(), Usage(), None
        async with aclosing(lines):
            async for line in lines:
                if not line.startswith(b"data:"):
                    if line.startswith((b":", b"event:", b"id:", b"retry:")):
                        continue
                    raise self._not_a_chunk(line)
                data = line[5:].strip()
                if data == b"[DONE]":
                    for call in calls.whole(self.settings.name):
                        yield call
                    yield Done(reason or "stop", usage)
                    return
                chunk = self._parse(data)
                if chunk.usage is not None:
                    usage = Usage(input_tokens=chunk.usage.prompt_tokens, output_tokens=chunk.usage.completion_tokens)
                for choice in chunk.choices[:1]:
                    reason = _REASONS.get(choice.finish_reason or "", reason)
                    calls.add(choice.delta.tool_calls if choice.delta else None)
                    for piece in _pieces(choice.delta):
                        patience.heard = True
                        yield piece
        raise cut(self.settings.name)

    def _parse(self, data: bytes) -> _Chunk:
        try:
            chunk = _chunks.decode(data)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise garbage(self.settings.name) from error
        if chunk.error is not None:
            raise refusal(500, data, self.settings.name)
        return chunk

    def _not_a_chunk(self, line: bytes) -> BackendFailed:
        return refusal(500, line, self.settings.name) if line.startswith(b'{"error"') else garbage(self.settings.name)

    async def models(self) -> Sequence[BackendModel]:
        said = await ask(self._http, f"{self._root}/v1/models", self._headers, self.settings.name)
        try:
            listed = msgspec.json.decode(said, type=_List).data
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise garbage(self.settings.name) from error
        running = await self._running_context() if any(one.meta for one in listed) else None
        return [self._model(one, running) for one in listed]

    async def _running_context(self) -> int | None:
        """llama.cpp's context for one answer, which may be less than the model was trained for."""
        try:
            said = await ask(self._http, f"{self._root}/props", self._headers, self.settings.name)
            settings = msgspec.json.decode(said, type=_Props).default_generation_settings
        except (BackendFailed, msgspec.DecodeError, UnicodeDecodeError):  # not every server with `meta` has it
            return None
        return settings.n_ctx if settings else None

    def _model(self, listed: _Listed, running: int | None) -> BackendModel:
        meta = listed.meta or _Meta()
        return BackendModel(
            name=listed.id.removesuffix(":latest"),
            backend=self.settings.name,
            pool=self.settings.pool,
            size_bytes=meta.size,
            context_length=running or listed.max_model_len or listed.context_length or meta.n_ctx_train,
        )


def _pieces(delta: _Delta | None) -> list[Piece]:
    if delta is None:
        return []
    thinking = delta.reasoning_content or delta.reasoning
    pieces: list[Piece] = [ThinkingText(thinking)] if thinking else []
    return [*pieces, Text(delta.content)] if delta.content else pieces


def _body(request: ChatRequest) -> dict[str, object]:
    body: dict[str, object] = {
        "model": request.model,
        "messages": [_turn(one) for one in request.context],
        "stream": True,
        "stream_options": {"include_usage": True},
        **_options(request.options),
    }
    if request.tools:
        body["tools"] = request.tools
    if request.format == "json":
        body["response_format"] = {"type": "json_object"}
    elif request.format is not None:
        body["response_format"] = {"type": "json_schema", "json_schema": {"name": "reply", "schema": request.format}}
    if request.think is not None:
        body["chat_template_kwargs"] = {"enable_thinking": request.think}
    return body


def _turn(turn: Turn) -> dict[str, object]:
    calls = [
        {
            "id": one.id,
            "type": "function",
            "function": {"name": one.name, "arguments": msgspec.json.encode(one.arguments).decode()},
        }
        for one in turn.tool_calls
    ]
    return {"role": turn.role, "content": turn.content, **({"tool_calls": calls} if calls else {})}


def _options(options: SamplingOptions) -> dict[str, object]:
    named = {
        "temperature": options.temperature,
        "top_p": options.top_p,
        "top_k": options.top_k,
        "seed": options.seed,
        "max_tokens": options.max_tokens,
        "stop": options.stop or None,
        "presence_penalty": options.presence_penalty,
        "frequency_penalty": options.frequency_penalty,
    }
    return {name: value for name, value in named.items() if value is not None}
