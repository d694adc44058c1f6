"""The calls about models themselves, as Ollama has them, and a log of each."""

import json
import time
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from dataclasses import asdict, dataclass, field
from hashlib import sha256

from aiohttp import web

from infra.fake.behaviour import Ended
from infra.fake.creating import creating
from infra.fake.library import FULL, Library, plain
from infra.fake.pulling import ERRORS, Line, Pull, forget_layers, pull_of, pulling

LOGGED = 10_000
"""Calls remembered; older ones are forgotten."""
VERSION = "0.9.6-fake"


@dataclass
class Managed:
    """One call as the server saw it; times in seconds since 1970.

    call: pull, create, blob, copy or delete. lines: told so far. ended: finished, refused, client_closed, or how it failed; None
    while it runs.
    """

    call: str
    model: str
    body: Mapping[str, object]
    lines: int = 0
    ended: str | None = None
    began_at: float = field(default_factory=time.time)
    ended_at: float | None = None

    def end(self, how: str) -> None:
        """It ended like this, unless it had ended already."""
        if self.ended is None:
            self.ended, self.ended_at = how, time.time()


@dataclass
class Managing:
    """The calls over what there is."""

    library: Library
    log: list[Managed] = field(default_factory=list[Managed])
    pulled: set[str] = field(default_factory=set[str])

    def routes(self) -> list[web.RouteDef]:
        """Of the server."""
        return [
            web.get("/_managed", self.show_log),
            web.get("/api/version", self.version),
            web.get("/api/tags", self.tags),
            web.post("/api/show", self.show),
            web.post("/api/pull", self.pull),
            web.post("/api/create", self.create),
            web.head("/api/blobs/{digest}", self.has_blob),
            web.post("/api/blobs/{digest}", self.take_blob),
            web.post("/api/copy", self.copy),
            web.delete("/api/delete", self.delete),
        ]

    async def show_log(self, _: web.Request) -> web.Response:
        return web.json_response([asdict(one) for one in self.log])

    async def version(self, _: web.Request) -> web.Response:
        return web.json_response({"version": VERSION})

    async def tags(self, _: web.Request) -> web.Response:
        return web.json_response({"models": self.library.tags()})

    async def show(self, request: web.Request) -> web.Response:
        name = plain(str((await request.json()).get("model", "")))
        held = self.library.find(name)
        return web.json_response(held.shown(name)) if held is not None else _unknown(name)

    async def pull(self, request: web.Request) -> web.StreamResponse:
        body = await request.json()
        name = plain(str(body.get("model", "")))
        call, pull = self._log("pull", name, body), pull_of(name)
        if pull is None or self.library.full:
            return await _told(request, call, _only(Ended("unknown" if pull is None else "full")))
        anew = name not in self.pulled
        self.pulled = {*self.pulled, name} if len(self.pulled) < LOGGED else {name}
        return _refusal(call, pull) or await _told(request, call, pulling(name, pull, self.library, anew=anew))

    async def create(self, request: web.Request) -> web.StreamResponse:
        body = await request.json()
        name = plain(str(body.get("model", "")))
        call = self._log("create", name, body)
        return _refusal(call, pull_of(name)) or await _told(request, call, creating(name, body, self.library))

    async def has_blob(self, request: web.Request) -> web.Response:
        return web.Response(status=200 if request.match_info["digest"] in self.library.blobs else 404)

    async def take_blob(self, request: web.Request) -> web.Response:
        wanted = request.match_info["digest"]
        call = self._log("blob", wanted, {})
        if wanted in self.library.blobs:
            call.end("finished")
            return web.Response(status=200)
        found, size = sha256(), 0
        try:
            async for piece in request.content.iter_any():
                found.update(piece)
                size += len(piece)
        finally:
            if not request.content.at_eof():
                call.end("client_closed")
        digest = f"sha256:{found.hexdigest()}"
        if digest != wanted or self.library.full:
            call.end("refused")
            words = FULL if digest == wanted else f'digest mismatch, expected "{wanted}", got "{digest}"'
            return web.json_response({"error": words}, status=400 if digest != wanted else 500)
        self.library.blobs[digest] = size
        call.end("finished")
        return web.Response(status=201)

    async def copy(self, request: web.Request) -> web.Response:
        body = await request.json()
        name, destination = plain(str(body.get("source", ""))), plain(str(body.get("destination", "")))
        call, held = self._log("copy", name, body), self.library.find(name)
        if held is None or not destination or self.library.full:
            call.end("refused")
            full = held is not None and destination
            return web.json_response({"error": FULL}, status=500) if full else _unknown(name)
        self.library.models[destination] = held
        call.end("finished")
        return web.Response()

    async def delete(self, request: web.Request) -> web.Response:
        body = await request.json()
        name = plain(str(body.get("model", "")))
        call = self._log("delete", name, body)
        if self.library.models.pop(name, None) is None:
            call.end("refused")
            return _unknown(name)
        forget_layers(name, self.library)
        call.end("finished")
        return web.Response()

    def _log(self, call: str, model: str, body: Mapping[str, object]) -> Managed:
        self.log.append(Managed(call, model, body))
        del self.log[:-LOGGED]
        return self.log[-1]


def _unknown(name: str) -> web.Response:
    return web.json_response({"error": f"model '{name}' not found"}, status=404)


def _refusal(call: Managed, pull: Pull | None) -> web.Response | None:
    if pull is None or pull.status == 200:
        return None
    call.end("refused")
    return web.json_response({"error": f"{call.model} always answers {pull.status}"}, status=pull.status)


async def _only(end: Ended) -> AsyncGenerator[Line | Ended, None]:
    yield end


async def _told(request: web.Request, call: Managed, told: AsyncGenerator[Line | Ended, None]) -> web.StreamResponse:
    """The lines, and how it ends."""
    response = web.StreamResponse(headers={"Content-Type": "application/x-ndjson"})
    try:
        async with aclosing(told):
            async for one in told:
                if isinstance(one, Ended):
                    call.end(one.how)
                    return await _end(request, response, one.how)
                if not response.prepared:
                    await response.prepare(request)
                call.lines += 1
                await response.write(json.dumps(one).encode() + b"\n")
    finally:
        call.end("client_closed")
    return response


async def _end(request: web.Request, response: web.StreamResponse, how: str) -> web.StreamResponse:
    if how == "html":
        return web.Response(text="<html>Sign in, please.</html>", content_type="text/html")
    if not response.prepared:
        await response.prepare(request)
    if how == "cut":
        await response.write(b'{"status": "pulling 0123456789ab", "digest": "sha2')
        if request.transport is not None:
            request.transport.close()
        return response
    if how == "garbage":
        await response.write(b"\xff\xfe{this is no JSON\n")
    if how in ERRORS:
        await response.write(json.dumps({"error": ERRORS[how]}).encode() + b"\n")
    await response.write_eof()
    return response
