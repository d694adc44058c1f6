"""Which model servers the embedded platform uses, found by asking."""

import asyncio
import os
import shutil
import signal
import sys
from collections.abc import AsyncGenerator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import aiohttp
from pydantic import BaseModel

from cli.settings import FAKE, LOCAL, EmbeddedSettings
from contracts.errors import Unavailable
from contracts.records import BackendSettings
from infra.process.failures import CannotStart

Report = Callable[[str], None]
OLLAMA = "http://127.0.0.1:11434"
PROBE = aiohttp.ClientTimeout(total=2.0)
NO_CHAT = ("bert", "nomic-bert")
"""Families that only embed."""


@asynccontextmanager
async def chosen_backends(
    settings: EmbeddedSettings, folder: Path, report: Report
) -> AsyncGenerator[tuple[BackendSettings, ...], None]:
    """The back-ends, running while inside; `report` hears why it is these. CannotStart where the asked one does not answer."""
    if settings.backends and settings.backend is None:
        yield settings.backends
    elif settings.backend == FAKE:
        async with _fake() as fake:
            yield (fake,)
    elif settings.backend not in (None, LOCAL):
        yield (await found(settings.backend or ""),)
    elif settings.backend is None and (ollama := await _local_ollama(report)):
        yield (ollama,)
    else:
        async with _small_model(folder) as local:
            yield (local,)


async def found(url: str) -> BackendSettings:
    """The server at a URL and its kind, by asking: Ollama's version first, then OpenAI's list of models."""
    at = url.rstrip("/")
    async with aiohttp.ClientSession(timeout=PROBE) as http:
        version = await _answer(http, f"{at}/api/version")
        if version is not None and b"version" in version:
            return BackendSettings(name="ollama", kind="ollama", url=at)
        if await _answer(http, f"{at}/models" if at.endswith("/v1") else f"{at}/v1/models"):
            return BackendSettings(name="openai", kind="openai", url=at)
    raise CannotStart(f"No model server answers at {url}: it should speak Ollama's or OpenAI's protocol.")


async def _local_ollama(report: Report) -> BackendSettings | None:
    """This machine's Ollama, where it answers and has a model that chats."""
    host = os.environ.get("OLLAMA_HOST", "")
    at = _ollama_url(host) if host else OLLAMA
    async with aiohttp.ClientSession(timeout=PROBE) as http:
        tags = await _answer(http, f"{at}/api/tags")
    if tags is None:
        return None
    if _Tags.model_validate_json(tags).chats():
        return BackendSettings(name="ollama", kind="ollama", url=at)
    report(
        f"The Ollama at {at} has no chat model: using the small model instead (`ollama pull llama3.2` gives it one)."
    )
    return None


class _Details(BaseModel):
    family: str | None = None


class _Tag(BaseModel):
    details: _Details = _Details()


class _Tags(BaseModel):
    """What matters here of Ollama's `/api/tags`."""

    models: list[_Tag] | None = None

    def chats(self) -> bool:
        """Whether one of them is more than an embedding model."""
        return any(one.details.family not in NO_CHAT for one in self.models or ())


def _ollama_url(host: str) -> str:
    """OLLAMA_HOST as Ollama reads it: the scheme and the port may be missing, 0.0.0.0 means this machine."""
    scheme, _, rest = host.rpartition("://")
    name, _, port = rest.rstrip("/").partition(":")
    return f"{scheme or 'http'}://{'127.0.0.1' if name in ('', '0.0.0.0') else name}:{port or 11434}"


async def _answer(http: aiohttp.ClientSession, url: str) -> bytes | None:
    """The JSON object that a URL answers with 200, or None."""
    try:
        async with http.get(url) as response:
            body = await response.read() if response.status == 200 else b""
    except (aiohttp.ClientError, TimeoutError, ValueError):
        return None
    return body if body.lstrip().startswith(b"{") else None


@asynccontextmanager
async def _small_model(folder: Path) -> AsyncGenerator[BackendSettings, None]:
    from infra.local.server import LocalModelServer
    from infra.local.weights import installed

    try:
        installed()
    except FileNotFoundError as error:
        ollama = "or start an Ollama" if not shutil.which("ollama") else "or pull a model into your Ollama"
        raise CannotStart(f"The small model is not installed here: run `make setup` {ollama}.") from error
    async with AsyncExitStack() as stack:
        try:
            backend = await stack.enter_async_context(LocalModelServer(folder))
        except Unavailable as error:
            raise CannotStart(f"{error} Another model server: --backend URL.") from error
        yield backend


@asynccontextmanager
async def _fake() -> AsyncGenerator[BackendSettings, None]:
    """The fake model server as a process of its own: what it costs is not ours."""
    from infra.process.http import bound

    with bound("127.0.0.1", 0, "--backend") as probe:
        port = probe.getsockname()[1]
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "infra.fake", "--port", str(port), "--held",
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.DEVNULL, start_new_session=True,
    )  # fmt: skip
    url = f"http://127.0.0.1:{port}"
    try:
        await _answering(process, url)
        yield BackendSettings(name=FAKE, kind="ollama", url=url, slots=16)
    finally:
        if process.returncode is None:
            process.send_signal(signal.SIGTERM)
            await process.wait()


async def _answering(process: asyncio.subprocess.Process, url: str) -> None:
    async with aiohttp.ClientSession(timeout=PROBE) as http:
        for _ in range(200):
            if await _answer(http, f"{url}/api/version"):
                return
            if process.returncode is not None:
                break
            await asyncio.sleep(0.05)
    raise CannotStart("The fake model server did not start.")
