"""Whose key a client has, and what the platform keeps of what was asked with it."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import httpx

from tests.e2e.client import Person
from tests.eventually import eventually

LONGEST = 20.0
"""Seconds."""
NEWEST = 10
"""Chats that are looked through."""


@dataclass
class Account:
    """An account and its API key. `http`: with the key."""

    key: str
    http: httpx.AsyncClient

    @classmethod
    async def opens(cls, edge: str) -> "Account":
        """A new one, with a key that may do what programs do."""
        person = await Person.signs_up([edge])
        made = await person.edge().post("/api/auth/keys", json={"name": "conformance"})
        await person.leaves()
        assert made.status_code == 201, made.text
        key = made.json()["secret"]
        return cls(key, httpx.AsyncClient(base_url=edge, headers={"Authorization": f"Bearer {key}"}, timeout=30))

    async def reply(self, question: str) -> dict[str, Any]:
        """The recorded reply to a question, once it has ended."""

        async def found() -> dict[str, Any] | None:
            listed = (await self.http.get("/api/chats", params={"limit": NEWEST})).json()["items"]
            for one in listed:
                asked, *replies = (await self.http.get(f"/api/chats/{one['id']}")).json()["messages"]
                if asked["content"] == question and replies and replies[-1]["status"] != "streaming":
                    return replies[-1]
            return None

        reply = await eventually(found, 15)
        assert reply is not None
        return reply

    async def spends(self) -> None:
        """Ask until it is too much for the minute."""
        body = {"model": "nobody", "content": "?"}
        while (await self.http.post("/api/chats/stream", json=body)).status_code != httpx.codes.TOO_MANY_REQUESTS:
            pass

    async def spends_until(self, done: Callable[[], bool]) -> None:
        """Leave no question to anybody else until that is true."""
        async with asyncio.timeout(LONGEST):
            while not done():
                await self.spends()
                await asyncio.sleep(0.05)

    async def leaves(self) -> None:
        await self.http.aclose()
