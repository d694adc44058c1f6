"""A client as a stranger would write it: HTTP, JSON and SSE, nothing of ours imported."""

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from uuid import uuid4

import httpx

PASSWORD = "correct horse battery"
ENDS = ("completed", "failed", "cancelled")


@dataclass(frozen=True)
class Event:
    """One SSE event."""

    name: str
    data: dict[str, object]
    id: str | None


@dataclass
class Answer:
    """What a follower holds at the end of a stream."""

    events: list[Event] = field(default_factory=list)

    @property
    def names(self) -> list[str]:
        return [event.name for event in self.events]

    @property
    def ids(self) -> list[str]:
        return [event.id for event in self.events if event.id is not None]

    @property
    def text(self) -> str:
        """The text as a person sees it: `restarted` voids what came before."""
        shown: list[str] = []
        for event in self.events:
            if event.name == "restarted":
                shown.clear()
            elif event.name == "token":
                shown.append(str(event.data["text"]))
        return "".join(shown)

    def first(self, name: str) -> dict[str, object]:
        """The data of the first event of that name."""
        return next(event.data for event in self.events if event.name == name)

    def end(self) -> Event:
        """The one terminal event; nothing follows it."""
        ends = [event for event in self.events if event.name in ENDS]
        assert len(ends) == 1, self.names
        assert self.events[-1] is ends[0], self.names
        return ends[0]


async def events(response: httpx.Response) -> AsyncIterator[Event]:
    """The SSE events of a response, comments left out."""
    fields: dict[str, str] = {}
    async for line in response.aiter_lines():
        if line == "":
            if "event" in fields:
                yield Event(fields["event"], json.loads(fields["data"]), fields.get("id"))
            fields = {}
        elif not line.startswith(":"):
            name, _, value = line.partition(":")
            fields[name] = value.removeprefix(" ")


class Person:
    """Somebody with an account, who may talk to several edges."""

    def __init__(self, edges: list[str], token: str, user: dict[str, object]) -> None:
        self.edges = edges
        self.user = user
        self.headers = {"Authorization": f"Bearer {token}"}
        self._clients = [httpx.AsyncClient(base_url=url, headers=self.headers, timeout=60) for url in edges]

    @classmethod
    async def signs_up(cls, edges: list[str]) -> "Person":
        async with httpx.AsyncClient(base_url=edges[0], timeout=60) as client:
            body = {"email": f"{uuid4()}@example.org", "password": PASSWORD}
            response = await client.post("/api/auth/signup", json=body)
        assert response.status_code == 201, response.text
        tokens = response.json()
        return cls(edges, tokens["access_token"], tokens["user"])

    def edge(self, number: int = 0) -> httpx.AsyncClient:
        """A client of one edge; there may be only one."""
        return self._clients[number % len(self._clients)]

    async def ask(self, content: str, *, model: str = "small", edge: int = 0, **body: object) -> Answer:
        """Ask and watch until the end."""
        answer = Answer()
        async for event in self.asking(content, model=model, edge=edge, **body):
            answer.events.append(event)
        return answer

    async def asking(
        self, content: str, *, model: str = "small", edge: int = 0, **body: object
    ) -> AsyncIterator[Event]:
        """Ask and see event by event; leaving the loop hangs up."""
        whole = {"model": model, "content": content, **body}
        async with self.edge(edge).stream("POST", "/api/chats/stream", json=whole) as response:
            assert response.status_code == 200, (await response.aread()).decode()
            async for event in events(response):
                yield event

    async def follow(self, generation_id: object, *, after: str | None = None, edge: int = 0) -> Answer:
        """Follow a generation from its start or after an event, until its end."""
        answer = Answer()
        headers = {"Last-Event-ID": after} if after else {}
        path = f"/api/generations/{generation_id}/stream"
        async with self.edge(edge).stream("GET", path, headers=headers) as response:
            assert response.status_code == 200, (await response.aread()).decode()
            async for event in events(response):
                answer.events.append(event)
        return answer

    async def chat(self, chat_id: object, *, edge: int = 0) -> dict[str, object]:
        """One chat with its messages."""
        response = await self.edge(edge).get(f"/api/chats/{chat_id}")
        assert response.status_code == 200, response.text
        return response.json()

    async def leaves(self) -> None:
        for client in self._clients:
            await client.aclose()
