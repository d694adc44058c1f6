"""The chat page, as a person uses it."""

import asyncio
import re

import httpx
import pytest
from playwright.async_api import Page, expect

from tests.e2e.client import PASSWORD
from tests.e2e.compositions import Platform
from tests.e2e.page.conftest import LOST, OpenPage, answered, asks, logs_in


async def test_ask_and_watch(page: Page) -> None:
    await asks(page, "Why is the sky blue?")
    assert await answered(page) == "[1 messages] You said: Why is the sky blue?"
    await expect(page.get_by_role("heading", name="Why is the sky blue?")).to_be_visible()
    await expect(page.get_by_role("navigation").get_by_role("link")).to_have_text("Why is the sky blue?")
    await asks(page, "And now?")
    assert await answered(page, 2) == "[3 messages] You said: And now?"
    await expect(page.get_by_label("Your question")).to_be_focused()


async def test_a_reload_in_mid_answer_goes_on(page: Page) -> None:
    await asks(page, "Count.", "slow")
    reply = page.get_by_label("Answer", exact=True).locator(".markdown")
    await expect(reply).to_contain_text("0 1 2 3 4 5")
    await page.reload()
    await expect(reply).to_contain_text("0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15")
    await page.get_by_role("button", name="Stop").click()
    await expect(page.get_by_text("Stopped.")).to_be_visible()


async def test_a_second_window_shows_the_same_answer_and_stops_it(
    page: Page, opens: OpenPage, platform: Platform
) -> None:
    await asks(page, "Count.", "slow")
    await page.wait_for_url(re.compile(r"#/[0-9a-f-]{36}$"))
    second = await opens(page.url, context=page.context)
    for one in (page, second):
        await expect(one.get_by_label("Answer", exact=True).locator(".markdown")).to_contain_text("0 1 2 3 4 5 6 7 8")
    await second.get_by_role("button", name="Stop").click()
    for one in (page, second):
        await expect(one.get_by_text("Stopped.")).to_be_visible()
    texts = [await one.get_by_label("Answer", exact=True).locator(".markdown").inner_text() for one in (page, second)]
    assert texts[0] == texts[1]
    await asks(page, "And now?")  # the other window only stands there
    await expect(second.get_by_label("Answer", exact=True).last).to_contain_text("You said: And now?")


async def test_chats_are_renamed_and_deleted(page: Page) -> None:
    await asks(page, "First.")
    await answered(page)
    row = page.get_by_role("navigation").get_by_role("listitem")
    await row.hover()
    await page.get_by_role("button", name="Rename “First.”").click()
    await page.get_by_label("Title").fill("Weather")
    await page.get_by_label("Title").press("Enter")
    await expect(page.get_by_role("heading", name="Weather")).to_be_visible()
    await row.hover()
    await page.get_by_role("button", name="Delete “Weather”").click()
    await page.get_by_role("button", name="Delete", exact=True).click()
    await expect(page.get_by_text("No chats yet: ask something.")).to_be_visible()
    await expect(page.get_by_role("heading", name="New chat")).to_be_visible()


async def test_a_failed_answer_is_a_sentence(page: Page) -> None:
    await asks(page, "Break.", "error")
    await expect(page.get_by_role("alert")).not_to_be_empty()
    await expect(page.get_by_label("Your question")).to_be_enabled()


async def test_a_demonstration_model_says_that_it_is_one(page: Page) -> None:
    await expect(page.get_by_text("A demonstration model is answering")).to_be_visible()


async def test_the_next_visit_needs_no_password_and_no_script_sees_the_token(
    page: Page, opens: OpenPage, platform: Platform
) -> None:
    again = await opens(platform.edges[0], context=page.context)
    await expect(again.get_by_label("Your question")).to_be_visible()
    kept = await again.evaluate("document.cookie + JSON.stringify(localStorage) + JSON.stringify(sessionStorage)")
    cookies = await page.context.cookies()
    assert [(one["name"], one["httpOnly"], one["sameSite"]) for one in cookies] == [("ollamanet", True, "Strict")]
    assert cookies[0]["value"] not in kept
    assert "eyJ" not in kept  # an access token begins so
    await again.get_by_role("button", name="Log out").click()
    await expect(again.get_by_role("button", name="Log in")).to_be_visible()


@pytest.mark.parametrize(
    ("path", "asked"),
    [
        ("/v1/chat/completions", {"messages": [{"role": "user", "content": "A program asks."}]}),
        ("/v1/responses", {"input": "A program asks."}),
    ],
    ids=["chat completions", "responses"],
)
async def test_a_chat_that_a_program_asked_is_listed_and_followed(
    page: Page, platform: Platform, email: str, path: str, asked: dict[str, object]
) -> None:
    """Over OpenAI's APIs, at another edge; the window finds it when somebody comes back to it."""
    async with httpx.AsyncClient(base_url=platform.edges[-1], timeout=60) as program:
        login = await program.post("/api/auth/login", json={"email": email, "password": PASSWORD})
        program.headers["Authorization"] = f"Bearer {login.json()['access_token']}"
        async with program.stream("POST", path, json={"model": "slow", "stream": True, **asked}) as answer:
            lines = answer.aiter_lines()  # held: letting go of it hangs up, and that cancels
            await anext(lines)
            await page.evaluate("window.dispatchEvent(new Event('focus'))")
            await page.get_by_role("link", name="A program asks.").click()
            reply = page.get_by_label("Answer", exact=True).locator(".markdown")
            await expect(reply).to_contain_text("0 1 2 3 4 5 6 7 8 9 10")
            await page.get_by_role("button", name="Stop").click()
            await expect(page.get_by_text("Stopped.")).to_be_visible()


@pytest.mark.parametrize("tolerates", [LOST], ids=["a session that ended"])
async def test_a_session_that_ends_in_mid_answer_is_told_and_a_login_goes_on(
    page: Page, platform: Platform, email: str
) -> None:
    await asks(page, "Count.", "slow")
    reply = page.get_by_label("Answer", exact=True).locator(".markdown")
    await expect(reply).to_contain_text("0 1 2 3")
    await page.get_by_label("Your question").fill("Not asked yet")
    (cookie,) = await page.context.cookies()
    async with httpx.AsyncClient(base_url=platform.edges[-1]) as elsewhere:
        await elsewhere.post("/api/auth/logout", json={"refresh_token": cookie["value"]})
    await expect(page.get_by_role("alert")).to_contain_text("Your session has ended")
    await logs_in(page, email)
    await expect(reply).to_contain_text("0 1 2 3 4 5 6 7 8 9 10")
    await expect(page.get_by_label("Your question")).to_have_value("Not asked yet")
    await page.get_by_role("button", name="Stop").click()
    await expect(page.get_by_text("Stopped.")).to_be_visible()


@pytest.mark.parametrize("platform", ["distributed"], indirect=True)
@pytest.mark.parametrize("tolerates", [LOST], ids=["an edge that is gone"])
async def test_an_edge_that_is_killed_and_comes_back_in_mid_answer(page: Page, platform: Platform) -> None:
    await asks(page, "Count.", "slow")
    reply = page.get_by_label("Answer", exact=True).locator(".markdown")
    await expect(reply).to_contain_text("0 1 2 3")
    platform.kill("edge-1")
    await expect(page.get_by_text("The connection is lost")).to_be_visible()
    await asyncio.to_thread(platform.restart, "edge-1")
    await expect(page.get_by_text("The connection is lost")).not_to_be_attached(timeout=15_000)
    await page.get_by_role("button", name="Stop").click()
    await expect(page.get_by_text("Stopped.")).to_be_visible()
    numbers = [int(one) for one in (await reply.inner_text()).split()]
    assert numbers == list(range(len(numbers)))
    assert len(numbers) > 20


async def test_a_wrong_password_is_told(opens: OpenPage, platform: Platform) -> None:
    stranger = await opens(platform.edges[0], tolerates=LOST)
    await stranger.get_by_label("E-mail").fill("nobody@example.org")
    await stranger.get_by_label("Password").fill("wrong password")
    await stranger.get_by_role("button", name="Log in").click()
    await expect(stranger.get_by_role("alert")).to_have_text(re.compile(r".+\. \(Request [0-9a-f-]{36}\)$"))
