"""A generation as a test writes it, instead of the platform's: for what no model does on demand."""

import asyncio
import json
from uuid import uuid4

from playwright.async_api import Page, Route

Event = tuple[str, dict[str, object]]


class Script:
    """Answers the page's question and its attempts to resume; each with the events that `say` gave it, and then a lost line."""

    def __init__(self) -> None:
        self.ids = {name: str(uuid4()) for name in ("generation_id", "chat_id", "message_id", "reply_id")}
        self._said: asyncio.Queue[list[Event]] = asyncio.Queue()
        self._count = 0

    @classmethod
    async def of(cls, page: Page, *first: Event) -> "Script":
        """In this page from now on; `first` follows `accepted`."""
        script = cls()
        script.say(("accepted", {**script.ids, "model": "small"}), *first)
        await page.route("**/api/chats/stream", script._answer)
        await page.route("**/api/generations/*/stream", script._answer)
        return script

    def say(self, *events: Event) -> None:
        """What the next connection gets."""
        self._said.put_nowait(list(events))

    async def _answer(self, route: Route) -> None:
        events = await self._said.get()
        body = "".join(self._frame(*one) for one in events)
        await route.fulfill(status=200, headers={"content-type": "text/event-stream"}, body=body)

    def _frame(self, name: str, data: dict[str, object]) -> str:
        numbered = "" if name == "queued" else f"id: 1-{self._count}\n"
        self._count += name != "queued"
        return f"{numbered}event: {name}\ndata: {json.dumps(data)}\n\n"


COMPLETED: Event = (
    "completed",
    {
        "finish_reason": "stop",
        "usage": {"input_tokens": 1, "output_tokens": 12},
        "timings": {"queue_ms": 1, "load_ms": 1, "ttft_ms": 1, "total_ms": 1, "tokens_per_second": 48.0},
    },
)
