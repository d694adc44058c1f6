"""People as good clients follow: wherever the line is cut they go on elsewhere, and all that they saw is kept with its time."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from uuid import uuid4

import httpx

from tests.e2e.client import ENDS, Event, Person

RETRY = 0.1
"""Seconds before a stream is resumed whose edge said nothing about it."""
LOST_PATIENCE = 0.3
"""Seconds before another try where nobody answered at all."""


def question() -> str:
    """A question that nobody else asks, so that its record and the back-end's calls are known by it."""
    return f"Question {uuid4()}"


@dataclass(frozen=True)
class Seen:
    """One event, when it came (seconds since 1970), and the connection it came on (from 0)."""

    at: float
    event: Event
    connection: int

    @property
    def epoch(self) -> str | None:
        """The part of its id that says who wrote it."""
        return self.event.id.partition("-")[0] if self.event.id else None


@dataclass(frozen=True)
class Refusal:
    """An answer that is none; `retry_after` in seconds as it was told."""

    at: float
    status: int
    code: str
    retry_after: float | None
    asking: bool


@dataclass(eq=False)
class Watch:
    """One question as its person lives it. `insists`: asks again when refused, as told by Retry-After, or not answered, under the same key.

    unanswered: how often the question was sent and no answer came at all. gave_up: it did not end in time.
    """

    person: Person
    content: str
    model: str = "paced"
    max_tokens: int | None = 100
    edge: int = 0
    insists: bool = True
    chat_id: str | None = None
    key: str = field(default_factory=lambda: str(uuid4()))
    seen: list[Seen] = field(default_factory=list)
    refusals: list[Refusal] = field(default_factory=list)
    cuts: list[float] = field(default_factory=list)
    resumed: list[tuple[float, float]] = field(default_factory=list)
    """Of each connection that resumed: when it was asked for, and when its first byte came."""
    unanswered: int = 0
    connections: int = 0
    gave_up: bool = False
    _retry: float = RETRY

    @property
    def accepted(self) -> dict[str, object] | None:
        return next((one.event.data for one in self.seen if one.event.name == "accepted"), None)

    @property
    def generation_id(self) -> str | None:
        return str(self.accepted["generation_id"]) if self.accepted else None

    @property
    def end(self) -> Event | None:
        return next((one.event for one in self.seen if one.event.name in ENDS), None)

    @property
    def refused(self) -> bool:
        """Whether it was not accepted, by an answer that said so."""
        return self.accepted is None and bool(self.refusals)

    @property
    def told_to_come_back(self) -> bool:
        """Whether it was refused as something that may be tried again, and when."""
        return self.refused and self.refusals[0].status == 503 and (self.refusals[0].retry_after or 0) >= 1

    @property
    def tokens(self) -> int:
        """Token events so far."""
        return sum(one.event.name == "token" for one in self.seen)

    @property
    def worker(self) -> str | None:
        """The back-end's name in the last `started`; each worker's is called as the worker."""
        started = [one.event.data["backend"] for one in self.seen if one.event.name == "started"]
        return str(started[-1]) if started else None

    @property
    def text(self) -> str:
        """The text as the person sees it now: `restarted` voids what came before."""
        shown: list[str] = []
        for one in self.seen:
            if one.event.name == "restarted":
                shown.clear()
            elif one.event.name == "token":
                shown.append(str(one.event.data["text"]))
        return "".join(shown)

    async def run(self, patience: float = 60.0) -> "Watch":
        """Ask and follow to the end; returns when it ended, was refused for good, or after `patience` seconds."""
        try:
            async with asyncio.timeout(patience):
                while self.accepted is None and await self._ask():
                    pass
                while self.accepted is not None and self.end is None:
                    await self._resume()
        except TimeoutError:
            self.gave_up = True
        return self

    async def follow(self, generation_id: str, after: str) -> "Watch":
        """Follow a generation that somebody asked for, after that event, on one connection."""
        headers, path, asked = {"Last-Event-ID": after}, f"/api/generations/{generation_id}/stream", time.time()
        async with self.person.edge(self.edge).stream("GET", path, headers=headers) as response:
            assert response.status_code == 200, (await response.aread()).decode()
            await self._read(response, asked)
        return self

    async def _ask(self) -> bool:
        """Whether to ask again."""
        options = {"max_tokens": self.max_tokens} if self.max_tokens else {}
        body = {"model": self.model, "content": self.content, "options": options}
        if self.chat_id is not None:
            body["chat_id"] = self.chat_id
        headers = {"Idempotency-Key": self.key}
        client = self.person.edge(self.edge)
        try:
            async with client.stream("POST", "/api/chats/stream", json=body, headers=headers) as response:
                if response.status_code != 200:
                    return await self._refused(response, asking=True) and self.insists
                await self._read(response)
        except httpx.TransportError:
            if self.accepted is None:
                self.unanswered += 1
                if not self.insists:
                    return False
                await asyncio.sleep(LOST_PATIENCE)
        self._cut()
        return True

    async def _resume(self) -> None:
        await asyncio.sleep(self._retry)
        last = next((one.event.id for one in reversed(self.seen) if one.event.id), None)
        headers = {"Last-Event-ID": last} if last else {}
        asked = time.time()
        path = f"/api/generations/{self.generation_id}/stream"
        try:
            async with self.person.edge(self.edge).stream("GET", path, headers=headers) as response:
                if response.status_code != 200:
                    await self._refused(response, asking=False)
                    self.edge += 1
                    return
                await self._read(response, asked)
        except httpx.TransportError:
            await asyncio.sleep(LOST_PATIENCE)
        self._cut()

    def _cut(self) -> None:
        if self.end is None:
            self.cuts.append(time.time())
            self.edge += 1

    async def _read(self, response: httpx.Response, asked: float | None = None) -> None:
        self.connections += 1
        first = True
        async for one in _items(response):
            if first and asked is not None:
                self.resumed.append((asked, time.time()))
            first = False
            if isinstance(one, Event):
                self.seen.append(Seen(time.time(), one, self.connections - 1))
            else:
                self._retry = one

    async def _refused(self, response: httpx.Response, *, asking: bool) -> bool:
        """Notes it and waits as told; whether trying again makes sense."""
        body = json.loads(await response.aread() or b"{}")
        told = response.headers.get("retry-after-ms")
        after = float(told) / 1000 if told else None
        status = response.status_code
        self.refusals.append(Refusal(time.time(), status, str(body.get("code")), after, asking))
        if asking and not self.insists:
            return False
        if asking and status not in (408, 409, 429, 500, 502, 503, 504):
            return False
        await asyncio.sleep(after or LOST_PATIENCE)
        return True


async def _items(response: httpx.Response) -> AsyncIterator[Event | float]:
    """The events of a stream, and what `retry:` lines say, in seconds."""
    fields: dict[str, str] = {}
    async for line in response.aiter_lines():
        if line == "":
            if "event" in fields:
                yield Event(fields["event"], json.loads(fields["data"]), fields.get("id"))
            elif "retry" in fields:
                yield int(fields["retry"]) / 1000
            fields = {}
        elif not line.startswith(":"):
            name, _, value = line.partition(":")
            fields[name] = value.removeprefix(" ")
