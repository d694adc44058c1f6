"""`Backend` over OpenAI's chat completions: llama.cpp, vLLM, LM Studio, OpenAI itself."""

from collections.abc import AsyncGenerator, Iterator, Sequence
from contextlib import aclosing, suppress
from dataclasses import dataclass

import aiohttp
import msgspec

from contracts.embeddings import Vectors
from contracts.errors import BackendFailed
from contracts.generation import Usage
from contracts.ports.backend import Backend, CallTool, ChatRequest, Done, EmbedRequest, Piece
from contracts.records import BackendModel, BackendSettings
from infra.backends.asking import ask, within_time
from infra.backends.embedding import in_time, refuse_to_embed, vectors
from infra.backends.lines import Patience, streamed_lines
from infra.backends.refusals import broke_off, cut, garbage
from infra.backends.seam import Seam
from infra.openai.embedding import Embedded, embed_body, in_order
from infra.openai.listed import Models, Props, described
from infra.openai.speech import ANY, Speech, beyond, refuse_unknown, speech_of, unsupported
from infra.openai.tool_calls import ToolCalls
from infra.openai.wire import REASONS, Chunk, Counted, Took, body, pieces

_chunks = msgspec.json.Decoder(Chunk)
_NO_DATA = (b":", b"event:", b"id:", b"retry:")


class OpenAIBackend(Backend):
    """One server; its `url` with or without `/v1`. `http` is the caller's; it outlives the back-end."""

    def __init__(self, settings: BackendSettings, http: aiohttp.ClientSession) -> None:
        self.settings = settings
        self._http = http
        self._root = settings.url.rstrip("/").removesuffix("/v1")
        self._known: dict[str, _Known] = {}
        self._headers = {"Content-Type": "application/json", "Accept-Encoding": "identity"}
        if settings.api_key:
            self._headers["Authorization"] = f"Bearer {settings.api_key}"

    async def chat(self, request: ChatRequest) -> AsyncGenerator[Piece, None]:
        patience = Patience(request.first_token_timeout, request.token_timeout)
        seam = Seam(request.said)
        url, server = f"{self._root}/v1/chat/completions", self.settings.name
        known = await self._able(request)
        sent = body(request, seam.sent, known.speech, known.context)
        lines = streamed_lines(self._http, url, sent, self._headers, server, patience)
        answer = _Answer(server, request.model, must_call=bool(request.tools) and request.tool_choice is not None)
        async with aclosing(lines):
            async for line in lines:
                if not line.startswith(b"data:"):
                    self._check(line)
                    continue
                data = line[5:].strip()
                if data == b"[DONE]":
                    break
                said = answer.take(data)
                if answer.moved:
                    patience.heard()
                for piece in said:
                    if joined := seam.join(piece):
                        yield joined
            else:
                if answer.reason is None:
                    raise cut(server)
            for last in answer.end():
                yield last

    async def embed(self, request: EmbedRequest) -> Vectors:
        server, url = self.settings.name, f"{self._root}/v1/embeddings"
        async with in_time(server, request.timeout):
            said = await ask(
                self._http, url, self._headers, server, Embedded, embed_body(request), refused=refuse_to_embed
            )
        return vectors(in_order(said, server), request, server, tokens=said.tokens)

    def _check(self, line: bytes) -> None:
        """A line without data must be of SSE all the same; some servers answer 200 and then a bare error."""
        if line.startswith(b'{"error"'):
            raise broke_off(line, self.settings.name)
        if not line.startswith(_NO_DATA):
            raise garbage(self.settings.name)

    async def models(self) -> Sequence[BackendModel]:
        async with within_time(self.settings.name):
            url = f"{self._root}/v1/models"
            listed = (await ask(self._http, url, self._headers, self.settings.name, Models)).data
            running = await self._running() if any(one.meta for one in listed) else Props()
        found = [described(one, running, self.settings) for one in listed]
        self._known = {
            model.name: _Known(speech_of(one.owned_by), model.context_length, running.tools)
            for one, model in zip(listed, found, strict=True)
        }
        return found

    async def _running(self) -> Props:
        try:
            return await ask(self._http, f"{self._root}/props", self._headers, self.settings.name, Props)
        except BackendFailed:  # not every server with `meta` has it
            return Props()

    async def _able(self, request: ChatRequest) -> "_Known":
        """What is known of the model's server. Raises BackendFailed (option_unsupported) for what it would not do."""
        name = request.model.removesuffix(":latest")
        if name not in self._known and beyond(request):
            with suppress(BackendFailed):  # there may be no list
                await self.models()
        known = self._known.get(name, _Known())
        refuse_unknown(request, known.speech, self.settings.name)
        if request.tools and known.tools is False:
            raise unsupported("tools", self.settings.name)
        return known


@dataclass(frozen=True)
class _Known:
    """Of one model, as its list told. `tools`: whether it can be offered any; None: not told."""

    speech: Speech = ANY
    context: int | None = None
    tools: bool | None = None


class _Answer:
    """What one stream said so far. `moved`: its last event brought a piece, of a tool call too; `reason`: why it ended, once it
    told."""

    def __init__(self, server: str, model: str, *, must_call: bool = False) -> None:
        self._server = server
        self._model = model
        self._must_call = must_call
        self._calls = ToolCalls()
        self._counted: Counted | None = None
        self._took = Took()
        self._pieces = 0
        self._known = False
        self.moved = False
        self.reason: str | None = None

    def take(self, data: bytes) -> list[Piece]:
        """The pieces of one event's data. Raises BackendFailed."""
        chunk = self._parse(data)
        if not self._known:
            self._known = self._speaks(chunk)
        if chunk.usage is not None:
            self._counted = chunk.usage
        self._took = chunk.timings or self._took
        if not chunk.choices:
            self.moved = False
            return []
        choice = chunk.choices[0]
        if choice.finish_reason:
            self.reason = REASONS.get(choice.finish_reason, "stop")
        called = choice.delta.tool_calls if choice.delta else None
        if called:
            self._calls.add(called, self._server)
        found = pieces(choice.delta)
        self._pieces += len(found)
        self.moved = bool(found or called)
        return found

    def _parse(self, data: bytes) -> Chunk:
        try:
            chunk = _chunks.decode(data)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise garbage(self._server) from error
        if chunk.failed:
            raise broke_off(data, self._server)
        return chunk

    def _speaks(self, chunk: Chunk) -> bool:
        if not chunk.answers(self._model):
            sentence = f"{self._server} has no model {self._model!r}; it answered with {chunk.model!r}."
            raise BackendFailed("backend_error", sentence, retryable=False)
        return chunk.model is not None

    def end(self) -> Iterator[CallTool | Done]:
        """The calls and the end. Where the server counts nothing, its pieces are counted. Raises BackendFailed."""
        reason = self.reason or "stop"
        if self._must_call and not self._calls.any:
            raise unsupported(
                "tool_choice", self._server
            )  # llama.cpp lets it pass where a model's template has no calls
        calls = self._calls.whole(self._server, cut_short=reason == "length")
        yield from calls
        counted = self._counted or Counted(completion_tokens=self._pieces)
        usage = Usage(input_tokens=counted.prompt_tokens, output_tokens=counted.completion_tokens)
        reason = "tool_calls" if calls and reason == "stop" else reason
        yield Done(reason, usage, prompt_ms=self._took.prompt_ms, eval_ms=self._took.predicted_ms)
