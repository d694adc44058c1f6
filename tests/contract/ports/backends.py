"""The servers that the `Backend` suite runs on: the fake one under both protocols, and two real ones with a real small model."""

import asyncio
import json
from contextlib import aclosing
from dataclasses import dataclass, field

import aiohttp
import pytest

from contracts.commands import SamplingOptions, Turn
from contracts.ports.backend import Backend, ChatRequest, Done, Piece, Text
from contracts.records import BackendSettings
from infra.local.weights import NAME

FAKES = ("fake-ollama", "fake-openai")
REAL = ("small-model", "ollama")
GREEDY = SamplingOptions(temperature=0, seed=7, max_tokens=16)
PATIENT = 25.0
"""Seconds; the two cores may be busy with another test's model."""


@dataclass(frozen=True)
class Server:
    """One of them, opened. `model`: one that answers ordinarily."""

    name: str
    url: str
    model: str
    backend: Backend

    def request(self, *said: str, **fields: object) -> ChatRequest:
        """A question of these turns, user and assistant by turns, ending with the user's."""
        turns = tuple(Turn(role="assistant" if number % 2 else "user", content=one) for number, one in enumerate(said))
        given = {"model": self.model, "context": turns, "first_token_timeout": PATIENT, "token_timeout": PATIENT}
        return ChatRequest(**{**given, **fields})  # type: ignore[arg-type]

    async def answer(self, *said: str, **fields: object) -> "Answer":
        """The whole answer to `request(…)`."""
        return await whole(self.backend, self.request(*said, **fields))

    async def call(self, words: str, *, question: str = "") -> dict[str, object]:
        """The fake's own note of the call whose last message is `words` (and which asked that question)."""
        async with aiohttp.ClientSession() as http, http.get(f"{self.url}/_calls") as response:
            calls = json.loads(await response.read())
        found = [
            one
            for one in calls
            if one["messages"][-1]["content"] == words and question in (one["messages"][0]["content"], "")
        ]
        assert len(found) == 1
        return found[0]


@dataclass
class Answer:
    """What came, and when (seconds of the loop's clock)."""

    pieces: list[Piece] = field(default_factory=list[Piece])
    times: list[float] = field(default_factory=list[float])

    @property
    def text(self) -> str:
        return "".join(piece.text for piece in self.pieces if isinstance(piece, Text))

    @property
    def done(self) -> Done:
        """Its end; that nothing else is one."""
        *before, last = self.pieces
        assert isinstance(last, Done)
        assert not any(isinstance(piece, Done) for piece in before)
        return last


async def whole(backend: Backend, request: ChatRequest) -> Answer:
    """Read a run to its end."""
    answer = Answer()
    async with aclosing(backend.chat(request)) as pieces:
        async for piece in pieces:
            answer.pieces.append(piece)
            answer.times.append(asyncio.get_running_loop().time())
    return answer


def settings_of(name: str, request: pytest.FixtureRequest) -> tuple[BackendSettings, str]:
    """How one of the servers is reached (it is started where it is not running), and its ordinary model."""
    if name == "small-model":
        return request.getfixturevalue("small_model"), NAME
    if name == "ollama":
        return BackendSettings(name=name, kind="ollama", url=request.getfixturevalue("ollama_url")), "small"
    kind = "ollama" if name == "fake-ollama" else "openai"
    return BackendSettings(name=name, kind=kind, url=request.getfixturevalue("fake_url")), "small"
