"""A browser in front of both compositions; whatever it complains about fails the test."""

import re
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from functools import partial
from uuid import uuid4

import pytest
from playwright.async_api import Browser, BrowserContext, ConsoleMessage, Page

from tests.e2e.client import PASSWORD
from tests.e2e.compositions import Platform, distributed, embedded

SMALL = re.compile("^small$")
OpenPage = Callable[..., Awaitable[Page]]


@pytest.fixture(scope="session", params=["embedded", "distributed"])
def platform(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    folder = tmp_path_factory.mktemp(f"page-{request.param}")
    own = (
        embedded
        if request.param == "embedded"
        else partial(distributed, servers=request.getfixturevalue("new_servers")())
    )
    running = own(folder)
    yield running
    running.stop()


@pytest.fixture
async def opens(browser: Browser) -> AsyncIterator[OpenPage]:
    """`page = await opens(url, context=…)`: a page in a profile of its own, or in the one of that context."""
    contexts: list[BrowserContext] = []
    complaints: list[str] = []

    def note(message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            complaints.append(f"{message.text} ({message.location.get('url')})")

    async def open_page(url: str, context: BrowserContext | None = None, **options: object) -> Page:
        if context is None:
            context = await browser.new_context(**options)  # type: ignore[arg-type]
            contexts.append(context)
        page = await context.new_page()
        page.on("console", note)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        await page.goto(url)
        return page

    yield open_page
    for one in contexts:
        await one.close()
    assert complaints == []


@pytest.fixture
async def page(opens: OpenPage, platform: Platform) -> Page:
    """The first edge's page, of somebody who just signed up."""
    opened = await opens(platform.edges[0])
    await opened.get_by_role("button", name="Sign up").click()
    await opened.get_by_label("E-mail").fill(f"{uuid4()}@example.org")
    await opened.get_by_label("Password").fill(PASSWORD)
    await opened.get_by_role("button", name="Sign up").click()
    await opened.get_by_label("Model").locator("option:not([disabled])", has_text=SMALL).wait_for(state="attached")
    return opened
