"""The words on a worker's control channel, as an iterator that ends with its subscription."""

import asyncio
from collections.abc import AsyncGenerator

from contracts.errors import Unavailable
from contracts.ports.streams import Cancel
from infra.redis.subscriptions import Listener

WORDS = 1000
"""Words waiting for one worker; more are dropped, for the flag in the log says the same."""


class Words(Listener):
    """Hears "cancel <generation> <epoch>"."""

    def __init__(self) -> None:
        self._waiting: asyncio.Queue[Cancel | Unavailable] = asyncio.Queue(WORDS + 1)

    def message(self, data: bytes) -> None:
        match data.decode().split(" "):
            case ["cancel", generation_id, epoch] if self._waiting.qsize() < WORDS:
                self._waiting.put_nowait(Cancel(generation_id, int(epoch)))
            case _:  # words that a newer edge may say
                pass

    def lost(self, why: str) -> bool:
        self._waiting.put_nowait(Unavailable(f"The control channel is lost: {why}"))
        return False  # its worker must know that it looked dead, and subscribes anew

    def back(self) -> None: ...

    async def heard(self) -> AsyncGenerator[Cancel, None]:
        """Each word. Raises Unavailable when the subscription is lost."""
        while True:
            word = await self._waiting.get()
            if isinstance(word, Unavailable):
                raise word
            yield word
