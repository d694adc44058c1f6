"""What `/` is: the chat page where it was built, else a small one that says how to get it."""

from pathlib import Path

import httpx
import pytest

from api.routes import pages
from tests.contract.http.conftest import StartWorld


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
    world = await start()
    async with httpx.AsyncClient(base_url=world.url) as client:
        page, script = await client.get("/"), await client.get("/assets/web/index-abc.js")
        icon = await client.get("/assets/icon.svg")
    assert (page.text, page.headers["cache-control"]) == ("<!doctype html><title>chat</title>", "no-cache")
    assert "default-src 'none'" in page.headers["content-security-policy"]
    assert script.headers["cache-control"] == "public, max-age=31536000, immutable"
    assert icon.status_code == 200
