"""How the page looks and feels, whatever is behind it: states that no model shows on demand, hostile texts, keyboard, screen readers."""

import json
import re
from pathlib import Path
from uuid import uuid4

import pytest
from playwright.async_api import Page, Route, expect

from tests.e2e.compositions import Platform
from tests.e2e.page.conftest import LOST, OpenPage, answered, asks, signs_up
from tests.e2e.page.scripted import COMPLETED, Script

pytestmark = pytest.mark.parametrize("platform", ["embedded"], indirect=True)

AXE = Path(__file__).parents[3] / "web" / "node_modules" / "axe-core" / "axe.min.js"
BACK = "window.dispatchEvent(new Event('focus'))"
"""Somebody comes back to the window: it looks at everything."""
PHONE = {"width": 360, "height": 700}
HOSTILE = """# عنوان طويل

هذا نص عربي طويل بما يكفي ليصل إلى نهاية السطر ويبدأ سطرا جديدا على هاتف.

| a | b | c | d | e | f | g | h | i | j | k | l |
|---|---|---|---|---|---|---|---|---|---|---|---|
| one long cell | two | three | four | five | six | seven | eight | nine | ten | eleven | twelve |

```
no language, and a line that is much longer than any telephone is wide, which has to be scrolled and not to be wrapped
```

- [ ] to do
- [x] done
"""


async def seriously_wrong(page: Page) -> list[tuple[str, str]]:
    """What axe finds that matters."""
    if not await page.evaluate("'axe' in window"):
        await page.evaluate(AXE.read_text("utf-8"))
    found = await page.evaluate("axe.run()")
    return [
        (one["id"], one["nodes"][0]["html"]) for one in found["violations"] if one["impact"] in ("serious", "critical")
    ]


async def fits(page: Page) -> bool:
    """Whether nothing sticks out to the right."""
    return await page.evaluate("document.documentElement.scrollWidth <= innerWidth")


async def test_the_first_account_is_told_what_it_is(opens: OpenPage, platform: Platform) -> None:
    """Only the very first one of the platform: this test comes before everybody else's."""
    page = await opens(platform.edges[0])
    await expect(page.get_by_text("Nobody has an account here yet")).to_be_visible()
    assert await seriously_wrong(page) == []
    await signs_up(page, f"{uuid4()}@example.org")
    await expect(page.get_by_text("you are the administrator")).to_be_visible()
    await page.get_by_role("button", name="All right").click()
    await expect(page.get_by_text("you are the administrator")).not_to_be_attached()
    await page.get_by_role("button", name="Log out").click()
    await expect(page.get_by_text("Nobody has an account here yet")).not_to_be_attached()


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_every_state_is_for_everybody_and_fits_a_phone(page: Page, scheme: str) -> None:
    await page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
    await asks(page, HOSTILE + "long" * 100)
    await answered(page)
    await page.set_viewport_size(PHONE)  # type: ignore[arg-type]
    await expect(page.get_by_role("navigation")).not_to_be_in_viewport()
    assert await fits(page)
    assert await seriously_wrong(page) == []
    heading = page.get_by_role("heading", name="عنوان طويل")
    assert await heading.evaluate("one => getComputedStyle(one).direction") == "rtl"
    await expect(page.locator(".code")).to_contain_text("text")
    await page.get_by_role("button", name="Chats").click()
    await expect(page.get_by_role("button", name="New chat")).to_be_focused()
    await page.get_by_role("button", name=re.compile("^Delete ")).click()
    await expect(page.get_by_role("alertdialog")).to_be_visible()
    assert await seriously_wrong(page) == []
    await page.keyboard.press("Escape")
    await page.get_by_role("button", name=re.compile("^Rename ")).click()
    assert await seriously_wrong(page) == []
    await page.keyboard.press("Escape")
    await expect(page.locator(".row a")).to_be_focused()
    await page.keyboard.press("Escape")
    await expect(page.get_by_role("navigation")).not_to_be_in_viewport()
    await expect(page.get_by_role("button", name="Chats")).to_be_focused()
    await asks(page, "Break.", "error")
    await expect(page.get_by_role("alert")).to_contain_text("(Generation ")
    assert await fits(page)
    assert await seriously_wrong(page) == []


async def test_markdown_is_drawn_and_html_is_text(page: Page) -> None:
    await asks(
        page, "**bold** <b>raw</b> <script>alert(1)</script> [x](javascript:alert(1))\n\n```python\nreturn 1\n```\n"
    )
    await answered(page)
    reply = page.get_by_label("Answer", exact=True)
    await expect(reply.locator("strong")).to_have_text("bold")
    await expect(reply.locator("b, script")).to_have_count(0)
    await expect(reply).to_contain_text("<script>alert(1)</script>")
    await expect(reply.get_by_role("link")).to_have_count(0)
    await expect(reply.locator(".hljs-keyword")).to_have_text("return")


async def test_a_copy_button_copies_the_code(page: Page) -> None:
    await page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    await asks(page, "Copy:\n```\nx = 1\n```\n")
    await answered(page)
    await page.get_by_role("button", name="Copy this code").last.click()
    await expect(page.get_by_role("button", name="Copy this code").last).to_have_text("Copied")
    assert await page.evaluate("navigator.clipboard.readText()") == "x = 1"


async def test_a_queue_and_thinking_are_shown_and_heard(page: Page) -> None:
    script = await Script.of(page, ("queued", {"position": 3, "eta_ms": 12_000}))
    await asks(page, "Think.")
    spoken = page.locator(".foot .spoken")
    await expect(spoken).to_have_text("Number 3 in the queue, about 12 s")
    await expect(page.locator(".waiting")).to_have_text("Number 3 in the queue, about 12 s")
    assert await seriously_wrong(page) == []
    script.say(("started", {"attempt": 1, "model": "small", "backend": "x"}), ("thinking", {"text": "Let me see."}))
    await expect(page.get_by_text("Let me see.")).to_be_visible()
    await expect(spoken).to_have_text("The answer is being written.")
    script.say(("token", {"text": "Forty-two."}), ("tool_call", {"id": "1", "name": "add", "arguments": {"a": 1}}))
    await expect(page.get_by_text("Forty-two.")).to_be_visible()
    await expect(page.get_by_text("Let me see.")).not_to_be_visible()  # folded
    await expect(page.get_by_text("Asked for the tool add")).to_be_visible()
    assert await seriously_wrong(page) == []
    script.say(("restarted", {"attempt": 2, "reason": "worker_lost"}), ("token", {"text": "Again."}), COMPLETED)
    await expect(page.get_by_text("small · 12 tokens, 48 a second")).to_be_visible()
    assert await page.get_by_label("Answer", exact=True).locator(".markdown").inner_text() == "Again."


async def test_a_screen_reader_hears_three_things_of_an_answer_and_no_token(page: Page) -> None:
    await page.evaluate(
        """() => {
          const heard = window.heard = [];
          new MutationObserver((all) => {
            for (const one of all) {
              const at = one.target instanceof Element ? one.target : one.target.parentElement;
              const live = at?.closest("[aria-live], [role=status], [role=alert], [role=log]");
              if (live && live.textContent && live.textContent !== heard.at(-1)) heard.push(live.textContent);
            }
          }).observe(document.body, { subtree: true, childList: true, characterData: true });
        }"""
    )
    await asks(page, "one two three four five six seven eight nine ten")
    await answered(page)
    heard = await page.evaluate("heard")
    assert heard[-2:] == ["The answer is being written.", "Answer complete."]
    assert len(heard) <= 4, heard


async def test_the_keyboard_is_enough(page: Page) -> None:
    await page.evaluate("() => { document.body.tabIndex = -1; document.body.focus(); }")
    await page.keyboard.press("Tab")
    await expect(page.get_by_role("button", name="Skip to the question")).to_be_focused()
    await expect(page.get_by_role("button", name="Skip to the question")).to_be_in_viewport()
    await page.keyboard.press("Tab")
    await expect(page.get_by_role("button", name="New chat")).to_be_focused()
    outline = await page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
    assert outline == "solid"
    await page.keyboard.press("Shift+Tab")
    await page.keyboard.press("Enter")
    question = page.get_by_label("Your question")
    await expect(question).to_be_focused()
    await page.keyboard.type("first")
    await page.keyboard.press("Shift+Enter")
    await page.keyboard.type("second")
    await expect(question).to_have_value("first\nsecond")
    await page.keyboard.press("Tab")
    await expect(page.get_by_label("Model")).to_be_focused()
    await page.get_by_label("Model").select_option("slow")
    await page.keyboard.press("Tab")
    await expect(page.get_by_role("button", name="Send")).to_be_focused()
    await page.keyboard.press("Enter")
    await expect(page.get_by_label("You asked").locator("p")).to_have_text("first\nsecond")
    await expect(page.locator(".markdown")).to_contain_text("0 1 2")
    await page.keyboard.press("Escape")
    await expect(page.get_by_text("Stopped.")).to_be_visible()
    await expect(question).to_be_focused()


async def test_stop_before_the_question_is_accepted_stops_it_all_the_same(page: Page) -> None:
    waiting: list[Route] = []
    await page.route("**/api/chats/stream", lambda route: waiting.append(route))
    await asks(page, "Count.", "slow")
    await page.get_by_role("button", name="Stop").click()
    await expect(page.get_by_role("button", name="Stopping …")).to_be_disabled()
    await waiting[0].continue_()
    await expect(page.get_by_text("Stopped.")).to_be_visible()


@pytest.mark.parametrize("tolerates", [re.compile("404")], ids=["refused"])
async def test_what_is_refused_is_said_and_can_be_sent_again(page: Page) -> None:
    async def refuse(route: Route) -> None:
        problem = {"status": 404, "code": "unknown_model", "detail": "There is no such model.", "request_id": "q7"}
        await route.fulfill(status=404, headers={"content-type": "application/problem+json"}, body=json.dumps(problem))

    await page.route("**/api/chats/stream", refuse)
    await asks(page, "Anybody?")
    await expect(page.get_by_role("alert")).to_have_text("There is no such model. (Request q7)")
    await expect(page.get_by_label("Your question")).to_have_value("Anybody?")
    await expect(page.get_by_label("You asked")).to_have_count(0)


@pytest.mark.parametrize("tolerates", [LOST], ids=["no network"])
async def test_offline_is_told_and_the_answer_comes_when_it_is_back(page: Page) -> None:
    await asks(page, "Count.", "slow")
    reply = page.locator(".markdown")
    await expect(reply).to_contain_text("0 1 2 3")
    await page.context.set_offline(True)
    await page.evaluate(BACK)
    await expect(page.get_by_text("You are offline.")).to_be_visible()
    await page.context.set_offline(False)
    await expect(page.get_by_text("You are offline.")).not_to_be_attached(timeout=15_000)
    before = len((await reply.inner_text()).split())
    await expect(reply).to_contain_text(f" {before + 5} ")
    await page.keyboard.press("Escape")
    await expect(page.get_by_text("Stopped.")).to_be_visible()
    numbers = [int(one) for one in (await reply.inner_text()).split()]
    assert numbers == list(range(len(numbers)))


async def test_nobody_is_handed_to_another_model_unasked(page: Page) -> None:
    await asks(page, "First.")
    await answered(page)
    gone: set[str] = set()
    away: set[str] = set()

    async def models(route: Route) -> None:
        answer = await route.fetch()
        listed = await answer.json()
        items = [one for one in listed["items"] if one["name"] not in gone]
        for one in items:
            one["status"] = "unavailable" if one["name"] in away else one["status"]
        await route.fulfill(response=answer, json={**listed, "items": items})

    await page.route("**/api/models?*", models)
    away.add("small")
    await page.evaluate(BACK)
    await expect(page.get_by_text("small is not being served right now.")).to_be_visible()
    await page.get_by_label("Your question").fill("Second.")
    await expect(page.get_by_role("button", name="Send")).to_be_disabled()
    gone.add("small")
    await page.evaluate(BACK)
    await expect(page.get_by_text("small is not here any more: the next answer is")).to_be_visible()
    away.clear()
    gone.clear()
    await page.evaluate(BACK)
    await expect(page.get_by_label("Model")).to_have_value("small")
    await expect(page.get_by_role("button", name="Send")).to_be_enabled()


async def test_older_chats_come_on_demand_and_stay(page: Page) -> None:
    async def chats(route: Route) -> None:
        older = "cursor=" in route.request.url
        items = [_chat(number) for number in (range(50, 70) if older else range(50))]
        await route.fulfill(json={"items": items, "next_cursor": None if older else "next"})

    await page.route("**/api/chats?*", chats)
    await page.evaluate(BACK)
    rows = page.get_by_role("navigation").get_by_role("link")
    await expect(rows).to_have_count(50)
    await page.get_by_role("button", name="Show older chats").click()
    await expect(rows).to_have_count(70)
    async with page.expect_response("**/api/chats?*"):
        await page.evaluate(BACK)
    await expect(rows).to_have_count(70)
    await expect(page.get_by_role("button", name="Show older chats")).not_to_be_attached()


async def test_a_question_that_is_very_long(page: Page) -> None:
    long = "word-" * 4000
    await asks(page, long)
    await answered(page)
    asked = page.get_by_label("You asked")
    assert len(await asked.inner_text()) < 4000
    await asked.get_by_role("button", name=re.compile("^Show all ")).click()
    assert len(await asked.inner_text()) > 19_000
    await page.get_by_role("region", name="Messages").evaluate("one => one.scrollTop = 0")
    await expect(page.get_by_role("button", name="To the end")).to_be_visible()
    await asks(page, "And now?")
    assert await answered(page, 2) != ""
    await expect(page.get_by_role("button", name="To the end")).not_to_be_attached()
    await expect(page.get_by_text("You said: And now?")).to_be_in_viewport()


@pytest.mark.parametrize("tolerates", [re.compile("413")], ids=["refused"])
async def test_a_question_that_is_too_long_is_refused_in_words(page: Page) -> None:
    await page.get_by_label("Your question").fill("a" * (256 * 1024 + 1))
    await page.get_by_label("Your question").press("Enter")
    await expect(page.get_by_role("alert")).to_contain_text("(Request ")
    await expect(page.get_by_role("button", name="Send")).to_be_enabled()
    assert await fits(page)


async def test_ten_thousand_messages_are_few_in_the_page_and_all_within_reach(page: Page) -> None:
    chat_id = str(uuid4())
    messages = [_message(chat_id, number) for number in range(10_000)]
    whole = {
        "id": chat_id,
        "title": "Long",
        "model": "small",
        "updated_at": "2026-01-01T00:00:00Z",
        "messages": messages,
    }
    await page.route(f"**/api/chats/{chat_id}", lambda route: route.fulfill(json=whole))
    await page.evaluate(f"location.hash = '#/{chat_id}'")
    await expect(page.get_by_text("Message 9999.", exact=True)).to_be_in_viewport()
    await expect(page.get_by_role("heading", name="Long")).to_be_visible()
    assert await page.locator("article").count() == 60
    view = page.get_by_role("region", name="Messages")
    for _ in range(6):
        await view.evaluate("one => one.scrollTop = 0")
        await page.evaluate("() => new Promise((done) => requestAnimationFrame(() => setTimeout(done)))")
    assert 60 < await page.locator("article").count() <= 240
    await expect(page.get_by_text("Message 9999.", exact=True)).not_to_be_attached()
    first = await page.locator("article").first.inner_text()
    assert int(re.findall(r"\d+", first)[0]) < 9800
    await page.get_by_role("button", name="To the end").click()
    await expect(page.get_by_text("Message 9999.", exact=True)).to_be_in_viewport()
    assert await page.locator("article").count() == 60


def _chat(number: int) -> dict[str, object]:
    at = f"2026-01-01T00:{59 - number // 60:02d}:{59 - number % 60:02d}Z"
    return {
        "id": f"{number:08d}-0000-7000-8000-000000000000",
        "title": f"Chat {number}",
        "model": "small",
        "updated_at": at,
    }


def _message(chat_id: str, number: int) -> dict[str, object]:
    return {
        "id": f"{number:08d}-0000-7000-8000-000000000000", "chat_id": chat_id, "parent_id": None, "status": "complete",
        "role": "assistant" if number % 2 else "user", "content": f"Message {number}.", "created_at": "2026-01-01T00:00:00Z",
    }  # fmt: skip
