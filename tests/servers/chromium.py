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
    if not PAGE.exists():
        raise FileNotFoundError("The chat page is not built: make web.")
    return path, []


@pytest.fixture(scope="session")
async def browser() -> AsyncIterator[Browser]:
    """Chromium, for the chat page as it was built."""
    path = shared_server("chromium", _found)
    async with async_playwright() as playwright:
        running = await playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield running
        await running.close()
