"""Vectors on their way, in Redis: one key for each result, gone at its moment, and a channel that says when it is there.

Its value is one line of JSON, then the packed numbers; empty: it was fetched or given up, and nothing is kept of it any more.
"""

import asyncio
from contextlib import AsyncExitStack, suppress
from datetime import UTC, datetime
from types import TracebackType
from typing import Self

import orjson

from contracts.embeddings import EmbeddingResult, NotEmbedded, Vectors
from contracts.errors import Unavailable
from contracts.ports.embeddings import EmbeddingResults
from infra.redis.connection import Connection
from infra.redis.keys import embedding_came, embedding_of
from infra.redis.subscriptions import Listener, Subscriptions

PAUSE = 0.25
"""Seconds between tries while Redis is away."""
TOLD = b"1"


class _Waiter(Listener):
    """Somebody who waits for one result. `look`: there may be something now. `away`: why Redis could not be asked the last time."""

    def __init__(self) -> None:
        self.look = asyncio.Event()
        self.away: Unavailable | None = None

    def message(self, data: bytes) -> None:
        self.look.set()

    def lost(self, why: str) -> bool:
        self.look.set()
        return True

    def back(self) -> None:
        self.look.set()


class RedisEmbeddingResults(EmbeddingResults):
    """Over two connections of its own: megabytes of vectors never stand before a token, and everybody here waits on one subscription.

    Entering raises Unavailable without Redis.
    """

    def __init__(self, url: str) -> None:
        self._connection = Connection(url)
        self._subscriptions = Subscriptions(url)
        self._leaving: set[asyncio.Task[None]] = set()
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(self._connection)
            await stack.enter_async_context(self._subscriptions)
            self._stack = stack.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await asyncio.gather(*self._leaving, return_exceptions=True)
        await self._stack.__aexit__(kind, error, trace)

    async def put(self, embedding_id: str, result: EmbeddingResult, until: datetime) -> None:
        if (left := _milliseconds(until)) <= 0:
            return
        await self._connection.each(
            ("SET", embedding_of(embedding_id), _encoded(result), "NX", "PX", left),
            ("PUBLISH", embedding_came(embedding_id), TOLD),
        )

    async def wait(self, embedding_id: str, until: datetime) -> EmbeddingResult | None:
        if (left := _milliseconds(until)) <= 0:
            return None
        waiter = _Waiter()
        try:
            async with asyncio.timeout(left / 1000):
                return await self._come(embedding_id, waiter)
        except TimeoutError:
            if waiter.away is None:
                return None
            raise waiter.away from None
        finally:
            self._leave(embedding_id, waiter, until)

    async def wanted(self, embedding_id: str) -> bool:
        return not await self._connection.call("EXISTS", embedding_of(embedding_id))

    async def check(self) -> None:
        await self._connection.call("PING")

    async def _come(self, embedding_id: str, waiter: _Waiter) -> EmbeddingResult | None:
        """When it is there: looked for after subscribing, so that nothing is missed."""
        while True:
            waiter.look.clear()
            try:
                await self._subscriptions.add(embedding_came(embedding_id), waiter)
                value = await self._connection.call("GET", embedding_of(embedding_id))
            except Unavailable as error:
                waiter.away = error
                await asyncio.sleep(PAUSE)
                continue
            waiter.away = None
            if value is not None:
                return _decoded(value)
            await waiter.look.wait()

    def _leave(self, embedding_id: str, waiter: _Waiter, until: datetime) -> None:
        """Say that nobody waits any more; the caller, who may have been cancelled, does not wait for it."""
        leaving = asyncio.create_task(self._left(embedding_id, waiter, until), name="left vectors")
        self._leaving.add(leaving)
        leaving.add_done_callback(self._leaving.discard)

    async def _left(self, embedding_id: str, waiter: _Waiter, until: datetime) -> None:
        left = max(1, _milliseconds(until))
        with suppress(Unavailable):  # then it expires
            await self._connection.call("SET", embedding_of(embedding_id), b"", "PX", left)
        await self._subscriptions.remove(embedding_came(embedding_id), waiter)


def _milliseconds(until: datetime) -> int:
    return int((until - datetime.now(UTC)).total_seconds() * 1000)


def _encoded(result: EmbeddingResult) -> bytes:
    if isinstance(result, NotEmbedded):
        told = {"code": result.code, "message": result.message, "retryable": result.retryable}
        return orjson.dumps(told) + b"\n"
    head = {"dimensions": result.dimensions, "input_tokens": result.input_tokens, "load_ms": result.load_ms}
    return orjson.dumps(head) + b"\n" + result.packed


def _decoded(value: bytes) -> EmbeddingResult | None:
    """None: it was fetched already."""
    if not value:
        return None
    head, _, packed = value.partition(b"\n")
    told = orjson.loads(head)
    if "code" in told:
        return NotEmbedded(told["code"], told["message"], told["retryable"])
    return Vectors(packed, told["dimensions"], told.get("input_tokens", 0), told.get("load_ms", 0))
