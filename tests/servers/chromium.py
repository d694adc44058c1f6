"""A real browser, without a window."""

import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from playwright.async_api import Browser, async_playwright

from tests.servers.shared import shared_server

PAGE = Path(__file__).parents[2] / "api" / "pages" / "built" / "index.html"


def _found(_: Path) -> tuple[str, list[int]]:
    path = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if path is None:
        raise FileNotFoundError("Chromium is not installed: apt-get install chromium.")
    return path, []


def _built(_: Path) -> tuple[str, list[int]]:
    if not PAGE.exists():
        raise FileNotFoundError("The chat page is not built: make web.")
    return str(PAGE.parent), []


@pytest.fixture(scope="session")
def built_page() -> Path:
    """The folder that `make web` fills."""
    return Path(shared_server("page", _built))


@pytest.fixture(scope="session")
async def browser(built_page: Path) -> AsyncIterator[Browser]:
    """Chromium, for the chat page as it was built."""
    path = shared_server("chromium", _found)
    async with async_playwright() as playwright:
        running = await playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield running
        await running.close()
