"""A model server that is none: speaks Ollama's native protocol and OpenAI's, and keeps a log of every call."""

import asyncio
import json
import time
from collections.abc import Mapping, Sequence
from contextlib import aclosing
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime, timedelta

from aiohttp import web

from contracts.ports.backend import PROBE
from infra.fake.behaviour import CONTEXT_LENGTH, MODELS, Asked, Called, Ended, run
from infra.fake.dialects import Dialect, OllamaDialect, OpenAIDialect
from infra.fake.embedding import Wanted, ollama_answer, openai_answer
from infra.fake.library import Library, plain
from infra.fake.managing import Managing
from infra.fake.seeing import images, seen

CALLS = 100_000
"""Calls remembered; older ones are forgotten."""
KEPT = timedelta(minutes=5)
"""How long a model stays in memory after a call."""


@dataclass
class Call:
    """One call as the server saw it; times in seconds since 1970.

    ended: finished, length, client_closed, cut, garbage, error or refused; None while it runs. continued: it went on from the
    last message, the beginning of its own answer. probe: nobody asked, it was to find out whether the model does so. sent: the rest
    of its body.
    """

    model: str
    messages: list[dict[str, object]]
    sent: Mapping[str, object] = field(default_factory=dict[str, object])
    tokens: int = 0
    text: str = ""
    ended: str | None = None
    continued: bool = False
    probe: bool = False
    began_at: float = field(default_factory=time.time)
    first_token_at: float | None = None
    ended_at: float | None = None

    def took(self) -> tuple[float, float]:
        """Seconds until the first token, and since."""
        now = time.time()
        first = self.first_token_at or now
        return first - self.began_at, now - first

    def end(self, how: str) -> None:
        """It ended like this, unless it had ended already."""
        if self.ended is None:
            self.ended, self.ended_at = how, time.time()


@dataclass
class FakeServer:
    """State of the running server; `ttft` in seconds."""

    ttft: float = 0.0
    calls: list[Call] = field(default_factory=list[Call])
    heard: set[str] = field(default_factory=set[str])
    library: Library = field(default_factory=Library.stocked)

    def __post_init__(self) -> None:
        self.managing = Managing(self.library)

    def app(self) -> web.Application:
        """The server's routes."""
        app = web.Application(client_max_size=64 * 1024 * 1024)
        app.add_routes(
            [
                web.get("/_calls", self.show_calls),
                web.delete("/_calls", self.forget_calls),
                *self.managing.routes(),
                web.get("/api/ps", self.ps),
                web.post("/api/chat", self.ollama_chat),
                web.post("/api/embed", self.ollama_embed),
                web.get("/v1/models", self.openai_models),
                web.post("/v1/chat/completions", self.openai_chat),
                web.post("/v1/embeddings", self.openai_embed),
            ]
        )
        return app

    async def show_calls(self, _: web.Request) -> web.Response:
        return web.json_response([asdict(call) for call in self.calls])

    async def forget_calls(self, _: web.Request) -> web.Response:
        self.calls.clear()
        self.managing.log.clear()
        return web.Response(status=204)

    async def ps(self, _: web.Request) -> web.Response:
        """What was asked in the last five minutes."""
        asked = {one.model: one.began_at for one in self.calls if one.ended != "refused"}
        ends = {name: datetime.fromtimestamp(at, UTC) + KEPT for name, at in asked.items()}
        models = [
            {
                "name": f"{name}:latest",
                "size": 1,
                "size_vram": 0,
                "context_length": CONTEXT_LENGTH,
                "expires_at": end.isoformat(),
            }
            for name, end in ends.items()
            if end > datetime.now(UTC)
        ]
        return web.json_response({"models": models})

    async def openai_models(self, _: web.Request) -> web.Response:
        data = [
            {
                "id": name,
                "object": "model",
                "owned_by": MODELS[self.library.behaves(name)].owner,
                "meta": {"n_ctx_train": CONTEXT_LENGTH},
            }
            for name in self.library.models
        ]
        return web.json_response({"object": "list", "data": data})

    async def ollama_chat(self, request: web.Request) -> web.StreamResponse:
        body = await request.json()
        name = plain(str(body["model"]))
        options = body.get("options") or {}
        asked = self._asked(name, body["messages"], options.get("num_predict"), options.get("stop"), goes_on=True)
        asked = replace(asked, tools=body.get("tools") or (), format=body.get("format"), sent=_sent(body))
        refusal = self._refusal(asked)
        if refusal is not None:
            return web.json_response({"error": refusal[1]}, status=refusal[0])
        return await self._stream(request, OllamaDialect(name), asked)

    async def openai_chat(self, request: web.Request) -> web.StreamResponse:
        """Goes on from a last message of the assistant's only when told so by vLLM's parameters."""
        body = await request.json()
        limit = body.get("max_completion_tokens") or body.get("max_tokens")
        goes_on = body.get("continue_final_message") is True
        asked = self._asked(str(body["model"]), body["messages"], limit, body.get("stop"), goes_on=goes_on)
        wanted = ((body.get("response_format") or {}).get("json_schema") or {}).get("schema")
        asked = replace(asked, tools=body.get("tools") or (), format=wanted, sent=_sent(body))
        refusal = self._refusal(asked)
        if goes_on and body.get("add_generation_prompt", True):
            refusal = 400, "Cannot set both `continue_final_message` and `add_generation_prompt` to True."
        if refusal is not None:
            return web.json_response({"error": {"message": refusal[1], "code": refusal[0]}}, status=refusal[0])
        return await self._stream(request, OpenAIDialect(asked.name), asked)

    async def ollama_embed(self, request: web.Request) -> web.StreamResponse:
        body = await request.json()
        name = plain(str(body["model"]))
        wanted = Wanted.of(self.library.behaves(name), body)
        refusal, call = self._embeds(wanted, name)
        if refusal is not None:
            return web.json_response({"error": refusal[1]}, status=refusal[0])
        return await _whole(request, call, wanted, {**ollama_answer(wanted), "model": name})

    async def openai_embed(self, request: web.Request) -> web.StreamResponse:
        body = await request.json()
        name = str(body["model"])
        wanted = Wanted.of(self.library.behaves(name), body)
        refusal, call = self._embeds(wanted, name)
        if refusal is not None:
            return web.json_response({"error": {"message": refusal[1], "code": refusal[0]}}, status=refusal[0])
        return await _whole(request, call, wanted, {**openai_answer(wanted), "model": name})

    def _embeds(self, wanted: Wanted, name: str) -> tuple[tuple[int, str] | None, Call]:
        """The refusal, if it refuses, and its note of the call."""
        asked = Asked(wanted.model, name, [{"role": "text", "content": one} for one in wanted.texts])
        refusal = self._refusal(asked, "embedding")
        return refusal, Call(name, []) if refusal is not None else self._log(asked)

    def _refusal(self, asked: Asked, does: str = "completion") -> tuple[int, str] | None:
        """The status and words it refuses with, if it does."""
        if asked.model not in MODELS:
            return 404, f"model '{asked.name}' not found, try pulling it first"
        model = MODELS[asked.model]
        if model.status != 200:
            self._log(asked).end("refused")
            return model.status, f"the model {asked.name} always answers {model.status}"
        if model.fails_first and self._new(asked):
            self._log(asked).end("refused")
            return 500, "the first try always fails"
        if does not in model.does:
            self._log(asked).end("refused")
            return 400, f"this model does not support {'embeddings' if does == 'embedding' else 'chat'}"
        if images(asked.messages) and "vision" not in model.does:
            self._log(asked).end("refused")
            return 400, "this model does not support images"
        return None

    def _new(self, asked: Asked) -> bool:
        """Whether it hears this question for the first time; it has heard it from now on."""
        question = json.dumps([asked.model, list(asked.messages)])
        new = question not in self.heard
        self.heard.add(question)
        return new

    def _log(self, asked: Asked) -> Call:
        said: list[dict[str, object]] = [{"role": "assistant", "content": asked.said}] if asked.said else []
        probe = any(one.get("content") == PROBE for one in asked.messages)
        call = Call(asked.name, [*asked.messages, *said], continued=asked.goes_on, probe=probe, sent=asked.sent)
        self.calls.append(call)
        del self.calls[:-CALLS]
        return call

    def _asked(
        self,
        name: str,
        messages: Sequence[dict[str, object]],
        limit: int | None,
        stops: list[str] | str | None,
        *,
        goes_on: bool,
    ) -> Asked:
        """The call, a last message of the assistant's taken for the beginning of the answer where it `goes_on`."""
        messages = seen(messages)
        model, stops = self.library.behaves(name), [stops] if isinstance(stops, str) else stops or []
        if goes_on and messages and messages[-1].get("role") == "assistant":
            *before, last = messages
            return Asked(model, name, before, limit, stops, str(last.get("content", "")))
        return Asked(model, name, messages, limit, stops)

    async def _stream(self, request: web.Request, dialect: Dialect, asked: Asked) -> web.StreamResponse:
        call = self._log(asked)
        if MODELS[asked.model].first and not call.probe and self._new(asked):
            asked = replace(asked, breaks=MODELS[asked.model].first)
        response = web.StreamResponse(headers={"Content-Type": dialect.content_type})
        try:
            await response.prepare(request)
            async with aclosing(run(asked, self.ttft)) as pieces:
                async for piece in pieces:
                    if isinstance(piece, Ended):
                        return await _end(response, dialect, call, piece.how, request)
                    call.tokens += 1
                    call.first_token_at = call.first_token_at or time.time()
                    if isinstance(piece, Called):
                        await response.write(dialect.call(piece))
                        continue
                    call.text += "" if piece.thinking else piece.text
                    await response.write(dialect.token(piece))
        finally:
            call.end("client_closed")
        return response


def _sent(body: Mapping[str, object]) -> dict[str, object]:
    return {name: value for name, value in body.items() if name not in ("model", "messages")}


async def _end(
    response: web.StreamResponse, dialect: Dialect, call: Call, how: str, request: web.Request
) -> web.StreamResponse:
    call.end(how)
    if how == "cut":
        if request.transport is not None:
            request.transport.close()
        return response
    if how == "garbage":
        await response.write(dialect.line(b"\xff\xfe{this is no JSON"))
    elif how == "error":
        await response.write(dialect.error("the model fell over"))
    else:
        reason = "length" if how == "length" else "stop"
        read = sum(len(str(one)) for one in call.messages) // 4
        await response.write(dialect.end(reason, call.tokens, read, *call.took()))
    await response.write_eof()
    return response


async def _whole(request: web.Request, call: Call, wanted: Wanted, answer: dict[str, object]) -> web.StreamResponse:
    """The vectors at the model's pace, or how it fails."""
    model = MODELS[wanted.model]
    try:
        if model.ending == "silent":
            await asyncio.Event().wait()
        if "completion" not in model.does and model.rate:
            await asyncio.sleep(len(wanted.texts) / model.rate)
        call.end(model.ending)
        if model.ending == "cut" and request.transport is not None:
            request.transport.close()
        garbage = model.ending == "garbage"
        return web.json_response(text="{this is no JSON") if garbage else web.json_response(answer)
    finally:
        call.end("client_closed")
