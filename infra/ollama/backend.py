"""`Backend` over Ollama's native API."""

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from typing import TypeVar

import aiohttp
import msgspec

from contracts.commands import SamplingOptions, Turn
from contracts.generation import ToolCallData, Usage
from contracts.ids import new_id
from contracts.ports.backend import Backend, CallTool, ChatRequest, Done, Piece, Text, ThinkingText
from contracts.records import BackendModel, BackendSettings
from infra.backends.lines import Patience, ask, cut, garbage, refusal, streamed_lines

LARGEST_CONTEXT = 8192
"""Tokens. Ollama cuts a longer context silently at its own default (4096), so every call says `num_ctx`; a larger one costs memory."""

T = TypeVar("T")


class _Function(msgspec.Struct):
    name: str
    arguments: dict[str, object] = {}


class _ToolCall(msgspec.Struct):
    function: _Function


class _Message(msgspec.Struct):
    content: str = ""
    thinking: str = ""
    tool_calls: list[_ToolCall] | None = None


class _Line(msgspec.Struct):
    message: _Message | None = None
    done: bool = False
    done_reason: str | None = None
    error: str | None = None
    prompt_eval_count: int = 0
    eval_count: int = 0
    load_duration: int = 0


class _Details(msgspec.Struct):
    family: str | None = None
    parameter_size: str | None = None
    quantization_level: str | None = None


class _Tag(msgspec.Struct):
    name: str
    digest: str | None = None
    size: int | None = None
    details: _Details | None = None


class _Tags(msgspec.Struct):
    models: list[_Tag] | None = None


class _Shown(msgspec.Struct):
    capabilities: list[str] = []
    model_info: dict[str, object] = {}
    license: str | None = None


_lines = msgspec.json.Decoder(_Line)


class OllamaBackend(Backend):
    """One Ollama. `http` is the caller's; it outlives the back-end."""

    def __init__(self, settings: BackendSettings, http: aiohttp.ClientSession) -> None:
        self.settings = settings
        self._http = http
        self._url = settings.url.rstrip("/")
        self._headers = {"Content-Type": "application/json"}
        if settings.api_key:
            self._headers["Authorization"] = f"Bearer {settings.api_key}"
        self._shown: dict[tuple[str, str | None], _Shown] = {}

    async def chat(self, request: ChatRequest) -> AsyncGenerator[Piece, None]:
        patience = Patience(request.first_token_timeout, request.token_timeout)
        name = self.settings.name
        body = _body(request, self._context(request.model))
        lines = streamed_lines(self._http, f"{self._url}/api/chat", body, self._headers, name, patience)
        called = False
        async with aclosing(lines):
            async for line in lines:
                said = self._parse(line)
                for piece in _pieces(said):
                    patience.heard = True
                    called = called or isinstance(piece, CallTool)
                    yield piece
                if said.done:
                    yield _done(said, called=called)
                    return
        raise cut(name)

    def _context(self, model: str) -> int:
        """What `models` said of it, so that a call never makes Ollama load the model anew; else the largest."""
        known = [
            _context_length(shown) for (name, _), shown in self._shown.items() if name.removesuffix(":latest") == model
        ]
        return known[-1] if known else LARGEST_CONTEXT

    def _parse(self, line: bytes) -> _Line:
        try:
            said = _lines.decode(line)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise garbage(self.settings.name) from error
        if said.error is not None:
            raise refusal(500, line, self.settings.name)
        return said

    async def models(self) -> Sequence[BackendModel]:
        tags = await self._asked("/api/tags", _Tags)
        found: list[BackendModel] = []
        for tag in tags.models or ():
            key = (tag.name, tag.digest)
            if key not in self._shown:
                self._shown[key] = await self._asked("/api/show", _Shown, {"model": tag.name})
            if "completion" in self._shown[key].capabilities:
                found.append(self._model(tag, self._shown[key]))
        self._shown = {
            key: shown for key, shown in self._shown.items() if any(key[0] == t.name for t in tags.models or ())
        }
        return found

    async def _asked(self, path: str, kind: type[T], body: dict[str, object] | None = None) -> T:
        said = await ask(self._http, self._url + path, self._headers, self.settings.name, body)
        try:
            return msgspec.json.decode(said, type=kind)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise garbage(self.settings.name) from error

    def _model(self, tag: _Tag, shown: _Shown) -> BackendModel:
        details = tag.details or _Details()
        return BackendModel(
            name=tag.name.removesuffix(":latest"),
            backend=self.settings.name,
            pool=self.settings.pool,
            digest=tag.digest,
            capabilities=tuple("chat" if one == "completion" else one for one in shown.capabilities),
            family=details.family,
            parameter_size=details.parameter_size,
            quantization=details.quantization_level,
            size_bytes=tag.size,
            context_length=_context_length(shown),
            license=_first_line(shown.license),
        )


def _context_length(shown: _Shown) -> int:
    lengths = [v for k, v in shown.model_info.items() if k.endswith(".context_length") and isinstance(v, int)]
    return min(lengths[0], LARGEST_CONTEXT) if lengths else LARGEST_CONTEXT


def _body(request: ChatRequest, context: int) -> dict[str, object]:
    body: dict[str, object] = {
        "model": request.model,
        "messages": [_turn(one) for one in request.context],
        "options": _options(request.options, context),
        "stream": True,
    }
    asked = {"think": request.think, "format": request.format, "tools": request.tools or None}
    return body | {name: value for name, value in asked.items() if value is not None}


def _turn(turn: Turn) -> dict[str, object]:
    calls = [{"function": {"name": one.name, "arguments": one.arguments}} for one in turn.tool_calls]
    return {"role": turn.role, "content": turn.content, **({"tool_calls": calls} if calls else {})}


def _options(options: SamplingOptions, context: int) -> dict[str, object]:
    named = {
        "temperature": options.temperature,
        "top_p": options.top_p,
        "top_k": options.top_k,
        "seed": options.seed,
        "num_predict": options.max_tokens,
        "stop": options.stop or None,
        "presence_penalty": options.presence_penalty,
        "frequency_penalty": options.frequency_penalty,
        "num_ctx": context,
    }
    return {name: value for name, value in named.items() if value is not None}


def _pieces(said: _Line) -> list[Piece]:
    message = said.message
    if message is None:
        return []
    pieces: list[Piece] = []
    if message.thinking:
        pieces.append(ThinkingText(message.thinking))
    if message.content:
        pieces.append(Text(message.content))
    for call in message.tool_calls or ():
        pieces.append(CallTool(ToolCallData(id=new_id(), name=call.function.name, arguments=call.function.arguments)))
    return pieces


def _done(said: _Line, *, called: bool) -> Done:
    reason = "tool_calls" if called else "length" if said.done_reason == "length" else "stop"
    usage = Usage(input_tokens=said.prompt_eval_count, output_tokens=said.eval_count)
    return Done(reason, usage, load_ms=said.load_duration // 1_000_000)


def _first_line(text: str | None) -> str | None:
    return next((one.strip()[:200] for one in (text or "").splitlines() if one.strip()), None)
