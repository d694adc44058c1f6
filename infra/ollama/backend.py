"""`Backend` over Ollama's native API."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from typing import TypeVar

import aiohttp
import msgspec

from contracts.embeddings import Vectors
from contracts.errors import BackendFailed
from contracts.ports.backend import Backend, CallTool, ChatRequest, Done, EmbedRequest, Piece
from contracts.records import BackendModel, BackendSettings, LoadedModel
from infra.backends.asking import ask, within_time
from infra.backends.embedding import in_time, refuse_to_embed, vectors
from infra.backends.lines import Patience, streamed_lines
from infra.backends.refusals import broke_off, cut, garbage
from infra.backends.seam import Seam
from infra.ollama.management import OllamaManagement
from infra.ollama.shown import LARGEST_CONTEXT, Running, Shown, Tag, Tags, described
from infra.ollama.wire import Embedded, Line, body, embed_body, end, pieces, refuse_unable

ASKED_AT_ONCE = 8
"""Models that are looked at side by side."""
_lines = msgspec.json.Decoder(Line)
T = TypeVar("T")


class OllamaBackend(Backend):
    """One Ollama. `http` is the caller's; it outlives the back-end."""

    def __init__(self, settings: BackendSettings, http: aiohttp.ClientSession) -> None:
        self.settings = settings
        self._http = http
        self._url = settings.url.rstrip("/")
        self._headers = {"Content-Type": "application/json", "Accept-Encoding": "identity"}
        if settings.api_key:
            self._headers["Authorization"] = f"Bearer {settings.api_key}"
        self._management = OllamaManagement(settings.name, self._url, self._headers, http)
        self._shown: dict[tuple[str, str | None], Shown] = {}
        self._by_name: dict[str, Shown] = {}
        self._tags: list[Tag] | None = None
        self._described: Sequence[BackendModel] = ()

    async def chat(self, request: ChatRequest) -> AsyncGenerator[Piece, None]:
        patience = Patience(request.first_token_timeout, request.token_timeout)
        refuse_unable(request, self.settings.name)
        context, stops = self._known(request.model)
        seam = Seam(request.said)
        shown = self._by_name.get(request.model.removesuffix(":latest"))
        sent = body(request, context, stops, seam.sent, levels=shown is not None and shown.levels)
        lines = streamed_lines(self._http, f"{self._url}/api/chat", sent, self._headers, self.settings.name, patience)
        called = False
        async with aclosing(lines):
            async for line in lines:
                said = self._parse(line)
                for piece in pieces(said):
                    patience.heard()
                    called = called or isinstance(piece, CallTool)
                    if joined := seam.join(piece):
                        yield joined
                if said.done:
                    yield self._end(said, context, called=called)
                    return
        raise cut(self.settings.name)

    async def embed(self, request: EmbedRequest) -> Vectors:
        server, (context, _) = self.settings.name, self._known(request.model)
        sent, url = embed_body(request, context), f"{self._url}/api/embed"
        async with in_time(server, request.timeout):
            said = await ask(self._http, url, self._headers, server, Embedded, sent, refused=refuse_to_embed)
        load_ms = said.load_duration // 1_000_000
        return vectors(said.embeddings, request, server, tokens=said.prompt_eval_count, load_ms=load_ms)

    def _known(self, model: str) -> tuple[int, tuple[str, ...]]:
        """Context and stop strings as `models` saw them, so that a call never makes Ollama load the model anew."""
        shown = self._by_name.get(model.removesuffix(":latest"))
        return (shown.context, shown.stops) if shown else (LARGEST_CONTEXT, ())

    def _parse(self, line: bytes) -> Line:
        try:
            said = _lines.decode(line)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise garbage(self.settings.name) from error
        if said.error is not None:
            raise broke_off(line, self.settings.name)
        return said

    def _end(self, said: Line, context: int, *, called: bool) -> Done:
        # before 0.12.6 it cuts the question to exactly the context's size, answers that, and tells nobody but here
        if said.prompt_eval_count >= context:
            sentence = f"{self.settings.name} cut the question to its context of {context} tokens."
            raise BackendFailed("context_too_long", sentence, retryable=False)
        return end(said, called=called)

    async def models(self) -> Sequence[BackendModel]:
        async with within_time(self.settings.name):
            tags = (await self._ask("/api/tags", Tags)).models or []
            if (
                tags == self._tags
            ):  # the very same records: whoever compares them with the last ones has nothing to compare
                return self._described
            room = asyncio.Semaphore(ASKED_AT_ONCE)
            shown = await asyncio.gather(*(self._look(tag, room) for tag in tags))
        for one in shown:
            if isinstance(one, BackendFailed) and one.code != "backend_error":
                raise one
        # one that was deleted since, or cannot be read, is not there
        found = [(tag, one) for tag, one in zip(tags, shown, strict=True) if isinstance(one, Shown)]
        self._shown = {(tag.name, tag.digest): one for tag, one in found}
        self._by_name = {tag.name.removesuffix(":latest"): one for tag, one in found}
        self._described = [described(tag, one, self.settings) for tag, one in found if one.answers]
        self._tags = tags if len(found) == len(tags) else None  # what could not be read is asked for again
        return self._described

    async def loaded(self) -> Sequence[LoadedModel]:
        async with within_time(self.settings.name):
            return [one.loaded() for one in (await self._ask("/api/ps", Running)).models or []]

    @property
    def management(self) -> OllamaManagement:
        return self._management

    async def _look(self, tag: Tag, room: asyncio.Semaphore) -> Shown | BackendFailed:
        """A model in full, asked once for each digest; what went wrong is given, so that no other look runs on alone."""
        if known := self._shown.get((tag.name, tag.digest)):
            return known
        async with room:
            try:
                return await self._ask("/api/show", Shown, {"model": tag.name})
            except BackendFailed as error:
                return error

    async def _ask(self, path: str, kind: type[T], sent: dict[str, object] | None = None) -> T:
        return await ask(self._http, self._url + path, self._headers, self.settings.name, kind, sent)
