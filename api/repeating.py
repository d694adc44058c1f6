"""What a repeat under one Idempotency-Key finds: the generation that the key began, however far it came."""

import asyncio
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from api.errors import KeyMismatch
from api.following import Following, Known
from contracts.errors import NotFound
from contracts.ports.streams import GenerationAdmission, IdempotencyKey, Same

PATIENCE = 2.0
"""Seconds that another edge gets to accept what it admitted: it takes milliseconds, unless it died or the broker is slow."""
PAUSE = 0.02
"""Seconds between two looks, doubled each time up to 0.25."""


@dataclass(frozen=True)
class Repeating:
    """Looks before anything is begun again."""

    streams: GenerationAdmission
    following: Following
    _turns: dict[tuple[str, str], asyncio.Event] = field(default_factory=dict[tuple[str, str], asyncio.Event])

    @asynccontextmanager
    async def turn(self, owner: str, key: IdempotencyKey | None) -> AsyncGenerator[None, None]:
        """Requests under one key, one after the other here: a double click meets what its first began, and is not counted.

        Two edges do not wait for each other: there admission decides.
        """
        if key is None:
            yield
            return
        name = (owner, key.value)
        while (before := self._turns.get(name)) is not None:
            await before.wait()
        over = self._turns[name] = asyncio.Event()
        try:
            yield
        finally:
            del self._turns[name]
            over.set()

    async def find(self, owner: str, key: IdempotencyKey) -> Known | None:
        """What that key began: accepted, or only admitted and left so for 2 s. None: nothing, or what was taken back.

        Raises KeyMismatch, NotFound (it was deleted with its chat), Unavailable.
        """
        deadline, pause, gone = time.monotonic() + PATIENCE, PAUSE, False
        while True:
            same = await self.streams.repeated(owner, key)
            if same is None:
                return None
            if not isinstance(same, Same):
                raise KeyMismatch
            try:
                known = await self.following.find(owner, same.generation_id)
            except NotFound:
                if gone:
                    raise NotFound("What this Idempotency-Key began was deleted.") from None
                gone = True  # unless it was taken back in this moment, and the key with it: ask for the key again
                continue
            if is_accepted(known) or time.monotonic() > deadline:
                return known
            await asyncio.sleep(pause)
            pause = min(2 * pause, 0.25)


def is_accepted(known: Known) -> bool:
    """Whether it is promised an outcome, as far as its log or the store knows."""
    return known.message is not None or (known.shown is not None and known.shown.state != "admitted")
