"""A browser in front of both compositions; whatever it complains about fails the test."""

import re
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from functools import partial
from uuid import uuid4

import pytest
from playwright.async_api import Browser, BrowserContext, ConsoleMessage, Page, expect

from tests.e2e.client import PASSWORD
from tests.e2e.compositions import Platform, distributed, embedded

SMALL = re.compile("^small$")
LOST = re.compile("net::ERR_|status of 401")
"""What Chromium itself says on the console of calls that did not reach the platform, or came too late for a session."""
NOTHING = re.compile("(?!)")
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
    """`page = await opens(url, context=…)`: a page in a profile of its own, or in the one of that context.

    `tolerates`: complaints that belong to the test.
    """
    contexts: list[BrowserContext] = []
    complaints: list[str] = []

    async def open_page(
        url: str, context: BrowserContext | None = None, tolerates: re.Pattern[str] = NOTHING, **options: object
    ) -> Page:
        if context is None:
            context = await browser.new_context(**options)  # type: ignore[arg-type]
            contexts.append(context)
        page = await context.new_page()

        def note(message: ConsoleMessage) -> None:
            if message.type in ("error", "warning") and not tolerates.search(message.text):
                complaints.append(f"{message.text} ({message.location.get('url')})")

        page.on("console", note)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        await page.goto(url)
        return page

    yield open_page
    for one in contexts:
        await one.close()
    assert complaints == []


@pytest.fixture
def email() -> str:
    """Whose page it is."""
    return f"{uuid4()}@example.org"


@pytest.fixture
def tolerates() -> re.Pattern[str]:
    """What the browser may say of `page` on its console: nothing, where a test does not break things itself."""
    return NOTHING


@pytest.fixture
async def page(opens: OpenPage, platform: Platform, email: str, tolerates: re.Pattern[str]) -> Page:
    """The first edge's page, of somebody who just signed up."""
    opened = await opens(platform.edges[0], tolerates=tolerates)
    await signs_up(opened, email)
    await opened.get_by_label("Model").locator("option:not([disabled])", has_text=SMALL).wait_for(state="attached")
    return opened


async def signs_up(page: Page, email: str) -> None:
    """Fill in the form for a new account, which is the first to be seen where nobody has one."""
    await expect(page.get_by_label("E-mail")).to_be_visible()
    if await page.get_by_role("form", name="Log in").count():
        await page.get_by_role("button", name="Sign up").click()
    await page.get_by_label("E-mail").fill(email)
    await page.get_by_label("Password").fill(PASSWORD)
    await page.get_by_role("button", name="Sign up").click()


async def logs_in(page: Page, email: str) -> None:
    """Fill in the form for a known account."""
    await page.get_by_label("E-mail").fill(email)
    await page.get_by_label("Password").fill(PASSWORD)
    await page.get_by_role("button", name="Log in").click()


async def asks(page: Page, content: str, model: str = "small") -> None:
    """Choose the model, type, press Enter."""
    await page.get_by_label("Model").select_option(model)
    await page.get_by_label("Your question").fill(content)
    await page.get_by_label("Your question").press("Enter")


async def answered(page: Page, number: int = 1) -> str:
    """The text of the chat's last answer, once it has ended."""
    replies = page.get_by_label("Answer", exact=True)
    await expect(replies).to_have_count(number)
    await expect(page.get_by_text("Answer complete.")).to_be_attached()
    return await replies.last.locator(".markdown").inner_text()
