"""A model server that is none: speaks Ollama's native protocol and OpenAI's, and keeps a log of every call."""

import json
from contextlib import aclosing
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime

from aiohttp import web

from infra.fake.behaviour import CONTEXT_LENGTH, MODELS, Ended, Said, run

CALLS = 100_000
"""Calls remembered; older ones are forgotten."""


@dataclass
class Call:
    """One call as the server saw it. `ended`: finished, length, client_closed, cut, garbage, error or refused; None while it runs."""

    model: str
    messages: list[dict[str, object]]
    tokens: int = 0
    text: str = ""
    ended: str | None = None


@dataclass
class FakeServer:
    """State of the running server; `ttft` in seconds."""

    ttft: float = 0.0
    calls: list[Call] = field(default_factory=list[Call])
    heard: set[str] = field(default_factory=set[str])

    def app(self) -> web.Application:
        """The server's routes."""
        app = web.Application(client_max_size=8 * 1024 * 1024)
        app.add_routes(
            [
                web.get("/_calls", self.show_calls),
                web.delete("/_calls", self.forget_calls),
                web.get("/api/version", lambda _: _json({"version": "0.9.6-fake"})),
                web.get("/api/tags", self.tags),
                web.post("/api/show", self.show),
                web.post("/api/chat", self.ollama_chat),
                web.get("/v1/models", self.openai_models),
                web.post("/v1/chat/completions", self.openai_chat),
            ]
        )
        return app

    async def show_calls(self, _: web.Request) -> web.Response:
        return web.json_response([asdict(call) for call in self.calls])

    async def forget_calls(self, _: web.Request) -> web.Response:
        self.calls.clear()
        return web.Response(status=204)

    async def tags(self, _: web.Request) -> web.Response:
        details = {"family": "fake", "parameter_size": "0B", "quantization_level": "Q8_0"}
        models = [{"name": f"{n}:latest", "digest": f"sha-{n}", "size": 1, "details": details} for n in MODELS]
        return web.json_response({"models": models})

    async def show(self, request: web.Request) -> web.Response:
        name = str((await request.json()).get("model", "")).removesuffix(":latest")
        if name not in MODELS:
            return web.json_response({"error": f"model '{name}' not found"}, status=404)
        info = {"general.architecture": "fake", "fake.context_length": CONTEXT_LENGTH}
        return web.json_response({"capabilities": ["completion"], "model_info": info, "license": "Apache-2.0"})

    async def openai_models(self, _: web.Request) -> web.Response:
        data = [{"id": name, "object": "model", "meta": {"n_ctx_train": CONTEXT_LENGTH}} for name in MODELS]
        return web.json_response({"object": "list", "data": data})

    async def ollama_chat(self, request: web.Request) -> web.StreamResponse:
        body = await request.json()
        name = str(body["model"]).removesuffix(":latest")
        options = body.get("options") or {}
        refusal = self._refusal(name, body["messages"])
        if refusal is not None:
            return web.json_response({"error": refusal[1]}, status=refusal[0])
        dialect = _Ollama(name)
        return await self._stream(
            request, dialect, name, body["messages"], options.get("num_predict"), options.get("stop")
        )

    async def openai_chat(self, request: web.Request) -> web.StreamResponse:
        body = await request.json()
        name = str(body["model"])
        refusal = self._refusal(name, body["messages"])
        if refusal is not None:
            return web.json_response({"error": {"message": refusal[1], "code": refusal[0]}}, status=refusal[0])
        limit = body.get("max_completion_tokens") or body.get("max_tokens")
        return await self._stream(request, _OpenAI(name), name, body["messages"], limit, body.get("stop"))

    def _refusal(self, name: str, messages: list[dict[str, object]]) -> tuple[int, str] | None:
        """The status and words it refuses with, if it does."""
        if name not in MODELS:
            return 404, f"model '{name}' not found, try pulling it first"
        model, question = MODELS[name], json.dumps(messages)
        if model.status != 200:
            self._log(Call(name, messages, ended="refused"))
            return model.status, f"the model {name} always answers {model.status}"
        if model.fails_first and question not in self.heard:
            self.heard.add(question)
            self._log(Call(name, messages, ended="refused"))
            return 500, "the first try always fails"
        return None

    def _log(self, call: Call) -> Call:
        self.calls.append(call)
        del self.calls[:-CALLS]
        return call

    async def _stream(
        self,
        request: web.Request,
        dialect: "_Ollama | _OpenAI",
        name: str,
        messages: list[dict[str, object]],
        limit: int | None,
        stops: list[str] | str | None,
    ) -> web.StreamResponse:
        call = self._log(Call(name, messages))
        response = web.StreamResponse(headers={"Content-Type": dialect.content_type})
        await response.prepare(request)
        try:
            async with aclosing(
                run(name, messages, limit, self.ttft, [stops] if isinstance(stops, str) else stops or ())
            ) as pieces:
                async for piece in pieces:
                    if isinstance(piece, Ended):
                        return await _end(response, dialect, call, piece.how, request)
                    call.tokens, call.text = call.tokens + 1, call.text + piece.text
                    await response.write(dialect.token(piece))
        finally:
            call.ended = call.ended or "client_closed"
        return response


async def _end(
    response: web.StreamResponse, dialect: "_Ollama | _OpenAI", call: Call, how: str, request: web.Request
) -> web.StreamResponse:
    call.ended = how
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
        await response.write(dialect.end(reason, call.tokens, sum(len(str(one)) for one in call.messages) // 4))
    await response.write_eof()
    return response


@dataclass
class _Ollama:
    model: str
    content_type: str = "application/x-ndjson"

    def line(self, data: bytes) -> bytes:
        return data + b"\n"

    def token(self, said: Said) -> bytes:
        return self._object(message={"role": "assistant", "content": said.text}, done=False)

    def error(self, words: str) -> bytes:
        return self.line(json.dumps({"error": words}).encode())

    def end(self, reason: str, output: int, read: int) -> bytes:
        message = {"role": "assistant", "content": ""}
        counts = {"prompt_eval_count": read, "eval_count": output, "load_duration": 1_000_000}
        return self._object(message=message, done=True, done_reason=reason, **counts)

    def _object(self, **fields: object) -> bytes:
        now = datetime.now(UTC).isoformat()
        return self.line(json.dumps({"model": self.model, "created_at": now, **fields}).encode())


@dataclass
class _OpenAI:
    model: str
    content_type: str = "text/event-stream"

    def line(self, data: bytes) -> bytes:
        return b"data: " + data + b"\n\n"

    def token(self, said: Said) -> bytes:
        return self._chunk([{"index": 0, "delta": {"content": said.text}, "finish_reason": None}])

    def error(self, words: str) -> bytes:
        return self.line(json.dumps({"error": {"message": words, "type": "server_error"}}).encode())

    def end(self, reason: str, output: int, read: int) -> bytes:
        usage = {"prompt_tokens": read, "completion_tokens": output, "total_tokens": read + output}
        finish = self._chunk([{"index": 0, "delta": {}, "finish_reason": reason}])
        return finish + self._chunk([], usage=usage) + b"data: [DONE]\n\n"

    def _chunk(self, choices: list[dict[str, object]], **more: object) -> bytes:
        whole = {"id": "fake", "object": "chat.completion.chunk", "model": self.model, "choices": choices, **more}
        return self.line(json.dumps(whole).encode())


async def _json(value: object) -> web.Response:
    return web.json_response(value)
