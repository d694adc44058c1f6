"""What `/` is: the chat page where it was built, else a small one that says how to get it."""

import gzip
from pathlib import Path

import httpx
import pytest

from api.routes import pages
from tests.contract.http.conftest import StartWorld
from tests.contract.http.wire import Line


@pytest.fixture
def built(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of built pages, empty."""
    monkeypatch.setattr(pages, "BUILT", tmp_path / "built")
    return tmp_path / "built"


async def test_without_the_chat_page_a_small_one_says_how_to_get_it(built: Path, start: StartWorld) -> None:
    world = await start()
    async with httpx.AsyncClient(base_url=world.url) as client:
        page = (await client.get("/")).text
    assert "make web" in page
    assert "ollamanet login --signup" in page


async def test_the_chat_page_is_looked_for_anew_and_its_files_never(built: Path, start: StartWorld) -> None:
    (built / "assets" / "web").mkdir(parents=True)
    (built / "index.html").write_text("<!doctype html><title>chat</title>")
    (built / "assets" / "web" / "index-abc.js").write_text("1")
    (built / "assets" / "web" / "index-abc.js.gz").write_bytes(gzip.compress(b"1"))
    world = await start()
    async with httpx.AsyncClient(base_url=world.url) as client:
        page, script = await client.get("/"), await client.get("/assets/web/index-abc.js")
        plain = await client.get("/assets/web/index-abc.js", headers={"Accept-Encoding": "identity"})
        missing = await client.get("/assets/web/index-old.js")
        icon = await client.get("/assets/icon.svg")
    assert (page.text, page.headers["cache-control"]) == ("<!doctype html><title>chat</title>", "no-cache")
    assert "default-src 'none'" in page.headers["content-security-policy"]
    assert "require-trusted-types-for 'script'; trusted-types 'none'" in page.headers["content-security-policy"]
    assert script.headers["cache-control"] == "public, max-age=31536000, immutable"
    assert (script.text, script.headers["content-encoding"], script.headers["vary"]) == ("1", "gzip", "Accept-Encoding")
    assert script.headers["content-type"].startswith("text/javascript")
    assert (plain.text, "content-encoding" in plain.headers) == ("1", False)
    assert plain.headers["etag"] != script.headers["etag"]
    assert (missing.status_code, missing.headers.get("cache-control")) == (404, None)
    assert icon.status_code == 200


async def test_a_page_that_is_built_beside_a_running_platform_is_served(built: Path, start: StartWorld) -> None:
    world = await start()
    async with httpx.AsyncClient(base_url=world.url) as client:
        assert (await client.get("/assets/web/index-abc.js")).status_code == 404
        (built / "assets" / "web").mkdir(parents=True)
        (built / "index.html").write_text("<!doctype html><title>chat</title>")
        (built / "assets" / "web" / "index-abc.js").write_text("1")
        assert "chat" in (await client.get("/")).text
        assert (await client.get("/assets/web/index-abc.js")).text == "1"


@pytest.mark.parametrize("name", ["../../../home.html", "%2e%2e/%2e%2e/index.html", "/etc/passwd", "index.html%00.js"])
async def test_nothing_but_the_built_files_is_among_them(built: Path, start: StartWorld, name: str) -> None:
    (built / "assets" / "web").mkdir(parents=True)
    world = await start()
    async with Line(world.url) as line:
        await line.sends(f"GET /assets/web/{name} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
        await line.begins()
    assert line.status in (400, 404)


async def test_whoever_comes_first_to_a_laptop_is_told(built: Path, start: StartWorld) -> None:
    _put(built / "index.html", '<div id="app"></div>')
    first, elsewhere = await start(first_role="admin"), await start()
    async with httpx.AsyncClient(timeout=30) as client:
        assert (await client.get(f"{first.url}/")).text == '<div id="app" data-first="yes"></div>'
        assert (await client.get(f"{elsewhere.url}/")).text == '<div id="app"></div>'
        body = {"email": "first@example.org", "password": "correct horse battery"}
        assert (await client.post(f"{first.url}/api/auth/signup", json=body)).status_code == 201
        assert (await client.get(f"{first.url}/")).text == '<div id="app"></div>'


def _put(file: Path, text: str) -> None:
    file.parent.mkdir(parents=True)
    file.write_text(text)
