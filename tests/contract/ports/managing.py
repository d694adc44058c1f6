"""The servers that the `ModelManagement` suite runs on: the fake one, and a real Ollama with a registry of the tests' own."""

import json
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from dataclasses import dataclass
from hashlib import sha256

import aiohttp

from contracts.ports.backend import Backend
from contracts.ports.management import ModelManagement, Pulled
from infra.local.weights import weights
from tests.servers.registry import Registry

BUSY = 60.0
"""Seconds without news of a pull; the two cores may be busy with another test's model."""


@dataclass(frozen=True)
class Place:
    """One of them, opened. `registry`: where the real one pulls from."""

    name: str
    url: str
    backend: Backend
    registry: Registry | None

    @property
    def management(self) -> ModelManagement:
        managed = self.backend.management
        assert managed is not None
        return managed

    def model(self, tag: str, kind: str = "") -> str:
        """The name of one that can be pulled; a kind of the registry's or the fake's."""
        if self.registry is None:
            return f"{kind or 'pull-fast'}:{tag}"
        return self.registry.model(kind or "smollm2", tag)

    def slow(self, tag: str) -> str:
        """One that takes some four seconds."""
        return self.model(tag, "pull-slow" if self.registry is None else "slow-25000000")

    async def pull(self, model: str, patience: float = BUSY) -> list[Pulled]:
        """All that a pull tells."""
        return await whole(self.management.pull(model, insecure=True, patience=patience))

    async def names(self) -> set[str]:
        """What it lists."""
        return {one.name for one in await self.backend.models()}

    async def calls(self, model: str) -> list[dict[str, object]]:
        """The fake's own notes of what was done to that model."""
        async with aiohttp.ClientSession() as http, http.get(f"{self.url}/_managed") as response:
            return [one for one in json.loads(await response.read()) if one["model"] == model]


async def whole(told: AsyncGenerator[Pulled, None]) -> list[Pulled]:
    """All of it."""
    async with aclosing(told):
        return [one async for one in told]


@dataclass(frozen=True)
class Weights:
    """The small model's weights under another name, so that no server has them: `general.name` is a string of 31 bytes."""

    content: bytes

    @classmethod
    def called(cls, name: str) -> "Weights":
        content, old = weights().read_bytes(), b"Smollm2 135M 8k Lc100K Mix1 Ep2"
        assert content.count(old) == 1
        return cls(content.replace(old, name.encode()[-len(old) :].rjust(len(old))))

    @property
    def digest(self) -> str:
        return f"sha256:{sha256(self.content).hexdigest()}"

    @property
    def size(self) -> int:
        return len(self.content)

    async def pieces(self) -> AsyncIterator[bytes]:
        for at in range(0, len(self.content), 1024 * 1024):
            yield self.content[at : at + 1024 * 1024]
