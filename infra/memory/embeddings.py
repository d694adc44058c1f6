"""Vectors on their way, in the memory of one process."""

import asyncio
from dataclasses import dataclass
from datetime import UTC, datetime
from types import TracebackType
from typing import Self

from contracts.embeddings import EmbeddingResult
from contracts.ports.embeddings import EmbeddingResults


@dataclass
class _Kept:
    """`result` None: it was fetched or given up. `until`: of the loop's clock."""

    result: EmbeddingResult | None
    until: float


class MemoryEmbeddingResults(EmbeddingResults):
    """Of one process and one event loop. What has expired goes with the next call."""

    def __init__(self) -> None:
        self._kept: dict[str, _Kept] = {}
        self._waiting: dict[str, list[asyncio.Event]] = {}

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._kept.clear()

    async def put(self, embedding_id: str, result: EmbeddingResult, until: datetime) -> None:
        left = _seconds(until)
        self._expire()
        if left <= 0 or embedding_id in self._kept:
            return
        self._kept[embedding_id] = _Kept(result, _now() + left)
        for came in self._waiting.get(embedding_id, ()):
            came.set()

    async def wait(self, embedding_id: str, until: datetime) -> EmbeddingResult | None:
        if _seconds(until) <= 0:
            return None
        came = asyncio.Event()
        waiting = self._waiting.setdefault(embedding_id, [])
        waiting.append(came)
        try:
            if embedding_id not in self._kept:
                async with asyncio.timeout(_seconds(until)):
                    await came.wait()
            return self._kept[embedding_id].result
        except TimeoutError:
            return None
        finally:
            waiting.remove(came)
            if not waiting:
                self._waiting.pop(embedding_id, None)
            self._given_up(embedding_id, until)

    async def wanted(self, embedding_id: str) -> bool:
        self._expire()
        return embedding_id not in self._kept

    async def check(self) -> None:
        """Memory always answers."""

    def _given_up(self, embedding_id: str, until: datetime) -> None:
        """Or fetched."""
        if (left := _seconds(until)) > 0:
            self._kept[embedding_id] = _Kept(None, _now() + left)
        else:
            self._kept.pop(embedding_id, None)

    def _expire(self) -> None:
        now = _now()
        for one in [one for one, kept in self._kept.items() if kept.until <= now]:
            del self._kept[one]


def _seconds(until: datetime) -> float:
    return (until - datetime.now(UTC)).total_seconds()


def _now() -> float:
    return asyncio.get_running_loop().time()
