"""Clients that time what a person would see: the platform's stream, and the back-end asked directly (the baseline)."""

import time
from dataclasses import dataclass, field

import aiohttp
import orjson

TIMEOUT = aiohttp.ClientTimeout(total=300, sock_connect=10)


@dataclass
class Seen:
    """What one answer looked like from outside. Times in seconds of the same clock; `texts` are the pieces."""

    asked: float
    accepted: float | None = None
    first_text: float | None = None
    ended: float | None = None
    end: str | None = None
    ids: list[str] = field(default_factory=list)
    texts: int = 0

    @property
    def dense(self) -> bool:
        """Whether the ids count from 0 without a hole."""
        return [int(one.split("-")[1]) for one in self.ids] == list(range(len(self.ids)))

    @property
    def first_text_ms(self) -> float:
        """Milliseconds from the request to the first piece of text."""
        assert self.first_text is not None
        return (self.first_text - self.asked) * 1000


def session() -> aiohttp.ClientSession:
    """A session without a limit of connections."""
    return aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0), timeout=TIMEOUT)


async def sign_up(http: aiohttp.ClientSession, edge: str, email: str) -> str:
    """An account of the benchmark's own; gives its access token."""
    body = {"email": email, "password": "correct horse battery"}
    async with http.post(f"{edge}/api/auth/signup", json=body) as response:
        response.raise_for_status()
        return (await response.json())["access_token"]


async def ask_platform(
    http: aiohttp.ClientSession, edge: str, token: str, model: str, content: str, max_tokens: int
) -> Seen:
    """Ask over `POST /api/chats/stream` and read to the end."""
    seen = Seen(time.perf_counter())
    body = {"model": model, "content": content, "options": {"max_tokens": max_tokens}}
    headers = {"Authorization": f"Bearer {token}"}
    async with http.post(f"{edge}/api/chats/stream", json=body, headers=headers) as response:
        if response.status != 200:
            raise RuntimeError(f"{response.status}: {await response.text()}")
        async for line in response.content:
            if line.startswith(b"id: "):
                seen.ids.append(line[4:-1].decode())
            elif line.startswith(b"event: "):
                _note(seen, line[7:-1].decode())
    return seen


def _note(seen: Seen, name: str) -> None:
    now = time.perf_counter()
    if name == "accepted":
        seen.accepted = now
    elif name == "token":
        seen.texts += 1
        seen.first_text = seen.first_text or now
    elif name in ("completed", "failed", "cancelled"):
        seen.ended, seen.end = now, name


async def ask_backend(http: aiohttp.ClientSession, backend: str, model: str, content: str, max_tokens: int) -> Seen:
    """Ask the back-end itself over Ollama's `POST /api/chat`: what the platform cannot be faster than."""
    seen = Seen(time.perf_counter())
    body = {
        "model": model,
        "messages": [{"role": "user", "content": content}],
        "options": {"num_predict": max_tokens},
        "stream": True,
    }
    async with http.post(f"{backend}/api/chat", json=body) as response:
        response.raise_for_status()
        async for line in response.content:
            piece = orjson.loads(line)
            _note(seen, "completed" if piece.get("done") else "token")
    return seen
