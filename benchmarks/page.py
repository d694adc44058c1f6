"""What a person at the chat page waits for, in headless Chromium: first paint, a long chat, a long answer; and its built size."""

import asyncio
import shutil
import statistics
import tempfile
import time
from collections.abc import AsyncGenerator, Awaitable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import uuid4

import aiohttp
from playwright.async_api import Browser, BrowserContext, Page, async_playwright

from benchmarks.figures import percentiles
from benchmarks.typist import MODEL, RATE, pieces, typing
from contracts.commands import Question
from contracts.events import ReplyCompleted
from contracts.ids import new_id
from infra.sqlite.database import SqliteDatabase
from infra.sqlite.history import SqliteHistory
from tests.e2e.compositions import Platform, embedded
from tests.servers.shared import free_port

BUILT = Path(__file__).parents[1] / "api" / "pages" / "built"
PASSWORD = "correct horse battery"
VISITS = 15
MESSAGES = 10_000
TOKENS = 6_000
"""Of the long answer: 24 KB, a minute."""
LATE_MS = 25.0
"""A frame that took longer missed its place on a screen of 60 Hz."""
FRAMES = """() => {
  const frames = window.frames_ = { gaps: [], on: true };
  let before = performance.now();
  const next = (now) => { frames.gaps.push(now - before); before = now; if (frames.on) requestAnimationFrame(next); };
  requestAnimationFrame(next);
}"""
GAPS = "() => { window.frames_.on = false; return window.frames_.gaps.slice(1); }"
PAINT = "() => performance.getEntriesByName('first-contentful-paint')[0]?.startTime ?? null"


@dataclass(frozen=True)
class Stand:
    """A running platform, a browser, and somebody with an account."""

    platform: Platform
    browser: Browser
    email: str
    account_id: str

    @property
    def url(self) -> str:
        return self.platform.edges[0]


def built_bytes() -> dict[str, int]:
    """What travels over the wire to the page, in bytes: compressed as it is served; and the colours' languages apart."""
    page = BUILT / "index.html"
    zipped = list((BUILT / "assets" / "web").glob("*.gz"))
    languages = [one for one in zipped if one.name.startswith("language-")]
    whole = page.stat().st_size + sum(one.stat().st_size for one in zipped if one not in languages)
    first = [one for one in zipped if one.name.startswith("index-")]
    return {
        "whole_without_languages": whole,
        "first_visit": page.stat().st_size + sum(one.stat().st_size for one in first),
        "languages": sum(one.stat().st_size for one in languages),
        "longest_language": max((one.stat().st_size for one in languages), default=0),
    }


async def page() -> dict[str, object]:
    """All of it, over the embedded platform."""
    async with _stand() as stand:
        chat_id = await _long_chat(stand)
        context = await _logged_in(stand)
        return {
            "gzipped_bytes": built_bytes(),
            "first_paint": await _first_paint(stand, context),
            "long_chat": await _opened(stand, context, chat_id),
            "long_answer": await _written(stand, context),
        }


@asynccontextmanager
async def _stand() -> AsyncGenerator[Stand, None]:
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if chromium is None or not (BUILT / "index.html").exists():
        raise SystemExit("The page is measured in Chromium, as it is built: apt-get install chromium, make web.")
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="ollamanet-bench-")))
        typist = await stack.enter_async_context(typing(free_port(), TOKENS))
        backends: list[dict[str, object]] = [{"name": "typist", "kind": "ollama", "url": typist, "slots": 4}]
        platform = await asyncio.to_thread(embedded, folder, backends)
        stack.callback(platform.stop)
        email = f"{uuid4()}@example.org"
        body = {"email": email, "password": PASSWORD}
        async with (
            aiohttp.ClientSession() as http,
            http.post(f"{platform.edges[0]}/api/auth/signup", json=body) as answer,
        ):
            account_id = (await answer.json())["user"]["id"]
        playwright = await stack.enter_async_context(async_playwright())
        browser = await playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        stack.push_async_callback(browser.close)
        yield Stand(platform, browser, email, account_id)


async def _long_chat(stand: Stand) -> str:
    """A chat of ten thousand messages, put where history puts them."""
    chat_id, began = new_id(), datetime.now(UTC) - timedelta(days=1)
    text = "".join(pieces(100))
    outcomes: list[ReplyCompleted] = []
    parent: str | None = None
    for number in range(MESSAGES // 2):
        at = began + timedelta(seconds=number)
        question = Question(
            generation_id=new_id(), owner=stand.account_id, chat_id=chat_id, message_id=new_id(), reply_id=new_id(),
            parent_id=parent, content=f"Question {number}", model=MODEL, asked_at=at,
        )  # fmt: skip
        outcomes.append(ReplyCompleted(question=question, text=text, ended_at=at))
        parent = question.reply_id
    async with SqliteDatabase(stand.platform.folder / "data" / "ollamanet.sqlite3") as database:
        for first in range(0, len(outcomes), 500):
            await SqliteHistory(database).record_outcomes(outcomes[first : first + 500])
    return chat_id


async def _logged_in(stand: Stand) -> BrowserContext:
    context = await stand.browser.new_context()
    page = await context.new_page()
    await page.goto(stand.url)
    await page.get_by_label("E-mail").fill(stand.email)
    await page.get_by_label("Password").fill(PASSWORD)
    await page.get_by_role("button", name="Log in").click()
    await page.get_by_label("Model").locator("option:not([disabled])").first.wait_for(state="attached")
    await page.close()
    return context


async def _first_paint(stand: Stand, context: BrowserContext) -> dict[str, object]:
    """Of a stranger with an empty cache, and of somebody who comes back, until the first pixel and until one may type."""
    strange: list[float] = []
    known: list[float] = []
    usable: list[float] = []
    for _ in range(VISITS):
        stranger = await stand.browser.new_context()
        strange.append(await _painted(await stranger.new_page(), stand.url))
        await stranger.close()
        page = await context.new_page()
        began = time.perf_counter()
        known.append(await _painted(page, stand.url))
        await page.get_by_label("Your question").wait_for()
        usable.append((time.perf_counter() - began) * 1000)
        await page.close()
    return {
        "visits": VISITS,
        "empty_cache_ms": percentiles(strange),
        "back_again_ms": percentiles(known),
        "back_again_may_type_ms": percentiles(usable),
    }


async def _painted(page: Page, url: str) -> float:
    await page.goto(url)
    await page.wait_for_function(PAINT)
    return float(await page.evaluate(PAINT))


async def _opened(stand: Stand, context: BrowserContext, chat_id: str) -> dict[str, object]:
    """The long chat: until its last message is there, and the frames while somebody scrolls back through it."""
    page = await context.new_page()
    await page.goto(stand.url)
    await page.get_by_label("Your question").wait_for()
    idle = await _frames_of(page, asyncio.sleep(3))
    began = time.perf_counter()
    await page.evaluate(f"location.hash = '#/{chat_id}'")
    await page.get_by_text(f"Question {MESSAGES // 2 - 1}", exact=True).wait_for()
    took = (time.perf_counter() - began) * 1000
    await page.get_by_role("region", name="Messages").hover()
    scrolling = await _frames_of(page, _scroll(page))
    articles = await page.locator("article").count()
    await page.close()
    size, fetched = await _fetched(stand, chat_id)
    return {
        "messages": MESSAGES,
        "opened_ms": round(took, 1),
        "of_which_the_call_alone_ms": round(fetched, 1),
        "bytes": size,
        "messages_in_the_page": articles,
        "idle_frames": _told(idle),
        "scrolling_frames": _told(scrolling),
    }


async def _fetched(stand: Stand, chat_id: str) -> tuple[int, float]:
    """The same call without a page: its bytes, and milliseconds."""
    async with aiohttp.ClientSession() as http:
        body = {"email": stand.email, "password": PASSWORD}
        async with http.post(f"{stand.url}/api/auth/login", json=body) as answer:
            token = (await answer.json())["access_token"]
        began = time.perf_counter()
        async with http.get(f"{stand.url}/api/chats/{chat_id}", headers={"Authorization": f"Bearer {token}"}) as answer:
            size = len(await answer.read())
    return size, (time.perf_counter() - began) * 1000


async def _scroll(page: Page) -> None:
    for _ in range(120):
        await page.mouse.wheel(0, -400)
        await asyncio.sleep(1 / 40)


async def _written(stand: Stand, context: BrowserContext) -> dict[str, object]:
    """An answer that comes at 100 tokens a second for a minute: its frames, and the last ten seconds of them."""
    page = await context.new_page()
    await page.goto(stand.url)
    await page.get_by_label("Your question").fill("Write a lot.")
    await page.get_by_role("button", name="Send").click()  # once the models are there
    await page.get_by_label("Answer", exact=True).locator(".markdown").wait_for()
    gaps = await _frames_of(page, _ended(page))
    drawn = await page.get_by_label("Answer", exact=True).locator(".markdown").inner_text()
    await page.close()
    return {
        "tokens": TOKENS,
        "tokens_per_second": RATE,
        "characters_drawn": len(drawn),
        "frames": _told(gaps),
        "last_frames": _told(gaps[-600:]),
    }


async def _ended(page: Page) -> None:
    await page.get_by_text("Answer complete.").wait_for(state="attached", timeout=TOKENS / RATE * 1000 + 30_000)


async def _frames_of(page: Page, meanwhile: Awaitable[None]) -> list[float]:
    await page.evaluate(FRAMES)
    await meanwhile
    return [float(one) for one in await page.evaluate(GAPS)]


def _told(gaps: Sequence[float]) -> dict[str, object]:
    return {
        "frames": len(gaps),
        "mean_ms": round(statistics.fmean(gaps), 2),
        "ms": percentiles(gaps),
        "late": sum(one > LATE_MS for one in gaps),
    }
