"""Waiting in place for a server that does not answer, with the delivery held."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import TypeVar

import structlog

from contracts.errors import OllamaNetError, Overloaded, Unavailable, Unroutable
from workers.inference.claim import FIRST_PAUSE, LONGEST_PAUSE

log = structlog.get_logger()
T = TypeVar("T")

AWAY: tuple[type[OllamaNetError], ...] = (Unavailable, Overloaded, Unroutable)
"""What passes: nobody answers, nobody has room, nobody has declared the queue yet."""


async def patiently(what: str, call: Callable[[], Awaitable[T]], until: datetime | None = None) -> T:
    """What `call()` gives, tried until it answers. Raises its error once `until` has passed; None: never."""
    pause = FIRST_PAUSE
    while True:
        try:
            return await call()
        except AWAY as error:
            if until is not None and datetime.now(UTC) >= until:
                raise
            log.warning("waiting_for_server", what=what, why=str(error), retry_in_s=pause)
        await asyncio.sleep(pause)
        pause = min(pause * 2, LONGEST_PAUSE)


def seconds_until(moment: datetime) -> float:
    """Seconds from now, 0 when it has passed."""
    return max(0.0, (moment - datetime.now(UTC)).total_seconds())
