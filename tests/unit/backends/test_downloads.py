"""Files fetched by URL: hashed, bounded, redirected with care, gone afterwards."""

import asyncio
import hashlib
from collections.abc import AsyncGenerator
from dataclasses import dataclass

import pytest
from aiohttp import web

from contracts.errors import BackendFailed
from infra.backends.downloads import HttpDownloads

CONTENT = b"GGUF" + bytes(range(256)) * 5000


@dataclass
class Site:
    """A web server with a file, and ways that lead to it or do not."""

    url: str


@pytest.fixture
async def site() -> AsyncGenerator[Site, None]:
    app = web.Application()

    async def file(request: web.Request) -> web.Response:
        return web.Response(body=CONTENT)

    async def moved(request: web.Request) -> web.Response:
        raise web.HTTPFound("/file")

    async def circle(request: web.Request) -> web.Response:
        raise web.HTTPFound("/circle")

    async def elsewhere(request: web.Request) -> web.Response:
        raise web.HTTPFound("file:///etc/passwd")

    for path, handler in {"/file": file, "/moved": moved, "/circle": circle, "/elsewhere": elsewhere}.items():
        app.router.add_get(path, handler)
    runner = web.AppRunner(app)
    await runner.setup()
    listening = web.TCPSite(runner, "127.0.0.1", 0)
    await listening.start()
    port = runner.addresses[0][1]
    yield Site(f"http://127.0.0.1:{port}")
    await runner.cleanup()


async def fetched(url: str, *, allow_private: bool = True) -> tuple[str, int, bytes, list[tuple[int, int | None]]]:
    told: list[tuple[int, int | None]] = []

    async def tell(completed: int, total: int | None) -> None:
        told.append((completed, total))

    async with HttpDownloads(allow_private=allow_private).fetch(url, tell) as file:
        path, content = file.path, file.path.read_bytes()
    assert not await asyncio.to_thread(path.exists)
    return file.digest, file.size, content, told


async def test_a_file_comes_whole_with_its_digest(site: Site) -> None:
    digest, size, content, told = await fetched(f"{site.url}/file")
    assert (digest, size) == (f"sha256:{hashlib.sha256(CONTENT).hexdigest()}", len(CONTENT))
    assert content == CONTENT
    assert told[-1] == (len(CONTENT), len(CONTENT))


async def test_redirects_are_followed_as_far_as_they_lead_somewhere(site: Site) -> None:
    assert (await fetched(f"{site.url}/moved"))[2] == CONTENT


@pytest.mark.parametrize(
    ("path", "words"),
    [("/circle", "redirects"), ("/elsewhere", "begins with http"), ("/nothing", "it answered 404")],
    ids=["circle", "another scheme", "not there"],
)
async def test_what_leads_nowhere_is_told(site: Site, path: str, words: str) -> None:
    with pytest.raises(BackendFailed) as failed:
        await fetched(f"{site.url}{path}")
    assert failed.value.code == "gguf_unreachable"
    assert words in str(failed.value)


async def test_nothing_private_and_nothing_in_clear_is_fetched_unless_allowed(site: Site) -> None:
    for url in (f"{site.url}/file", site.url.replace("http", "https") + "/file"):
        with pytest.raises(BackendFailed) as failed:
            await fetched(url, allow_private=False)
        assert failed.value.code == "gguf_unreachable"


async def test_a_signed_url_is_not_told(site: Site) -> None:
    with pytest.raises(BackendFailed) as failed:
        await fetched(f"{site.url}/nothing?signature=secret")
    assert "secret" not in str(failed.value)
