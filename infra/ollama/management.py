"""`ModelManagement` over Ollama's native API."""

from collections.abc import AsyncGenerator, AsyncIterable, Mapping
from contextlib import aclosing
from typing import TypeVar

import aiohttp

from contracts.ports.management import ModelCard, ModelManagement, NewModel, Pulled
from infra.backends.asking import ask, order, within_time
from infra.backends.lines import streamed_lines
from infra.backends.refusals import cut, unreachable
from infra.ollama.managed import Listening, Version, create_body, parsed, refuse_to_manage
from infra.ollama.shown import Card, Tags
from infra.ollama.uploading import upload

T = TypeVar("T")


class OllamaManagement(ModelManagement):
    """The models of one Ollama. `http` is the caller's; `headers` let us in."""

    def __init__(self, server: str, url: str, headers: Mapping[str, str], http: aiohttp.ClientSession) -> None:
        self._server = server
        self._url = url
        self._headers = headers
        self._http = http

    def pull(self, model: str, *, insecure: bool = False, patience: float = 60.0) -> AsyncGenerator[Pulled, None]:
        return self._told("/api/pull", {"model": model, "insecure": insecure, "stream": True}, patience)

    async def create(self, model: NewModel, *, patience: float = 600.0) -> AsyncGenerator[Pulled, None]:
        if model.base is not None:
            await self._shown(model.base)  # it would go and pull what it does not have
        async with aclosing(self._told("/api/create", create_body(model), patience)) as told:
            async for one in told:
                yield one

    async def has_blob(self, digest: str) -> bool:
        url = f"{self._url}/api/blobs/{digest}"
        try:
            async with (
                within_time(self._server),
                self._http.head(url, headers=self._headers, allow_redirects=False) as response,
            ):
                if response.status not in (200, 404):
                    await refuse_to_manage(response, self._server)
                return response.status == 200
        except (aiohttp.ClientError, OSError) as error:
            raise unreachable(self._server, error) from error

    async def push_blob(self, digest: str, size: int, content: AsyncIterable[bytes]) -> None:
        # what it has, it does not read: whoever sends it meets a connection that is closed in the middle
        if not await self.has_blob(digest):
            url = f"{self._url}/api/blobs/{digest}"
            await upload(self._http, url, self._headers, self._server, size, content)

    async def copy(self, model: str, destination: str) -> None:
        await self._order("POST", "/api/copy", {"source": model, "destination": destination})

    async def delete(self, model: str) -> None:
        await self._order("DELETE", "/api/delete", {"model": model})

    async def card(self, model: str) -> ModelCard:
        shown = await self._shown(model)
        async with within_time(self._server):
            tags = (await self._ask("/api/tags", Tags)).models or []
        # it takes names in either case, and tells them as they were made
        name = model.removesuffix(":latest").casefold()
        digest = next((one.digest for one in tags if one.name.removesuffix(":latest").casefold() == name), None)
        return shown.card(model, digest)

    async def version(self) -> str:
        async with within_time(self._server):
            return (await self._ask("/api/version", Version)).version

    async def _told(self, path: str, body: Mapping[str, object], patience: float) -> AsyncGenerator[Pulled, None]:
        """What the call tells, up to its own end mark."""
        listening = Listening(patience, patience, patience=patience)
        url, refused = self._url + path, refuse_to_manage
        lines = streamed_lines(self._http, url, body, self._headers, self._server, listening, refused=refused)
        async with aclosing(lines):
            async for line in lines:
                said = parsed(line, self._server)
                listening.listen(said)
                yield said.pulled()
                if said.status == "success":
                    return
        raise cut(self._server)

    async def _shown(self, model: str) -> Card:
        async with within_time(self._server):
            return await self._ask("/api/show", Card, {"model": model})

    async def _ask(self, path: str, kind: type[T], body: Mapping[str, object] | None = None) -> T:
        url = self._url + path
        return await ask(self._http, url, self._headers, self._server, kind, body, refused=refuse_to_manage)

    async def _order(self, method: str, path: str, body: Mapping[str, object]) -> None:
        url = self._url + path
        async with within_time(self._server):
            await order(self._http, method, url, self._headers, self._server, body, refused=refuse_to_manage)
