"""What becomes of a delivery: errors → acked, given back or dead-lettered, decided here alone, for every bus.

    returned                              DONE
    Transient, and anything unforeseen    tried again here, with back-off, until `retry_for`; then as Permanent
    Permanent                             BURY: its queue's dead letters
    HandOver, cancelled                   GIVE_BACK: somebody else, now
    the delivery is no longer held        LOST: the server gave it to somebody already

Never give back to try again: no bus adds a delay there, so one outage would use up the delivery limit of everything.
A dead letter is never buried: whatever its handler raises is tried again until `retry_for`, then it is given back.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import Enum, auto

import structlog

from contracts.errors import HandOver, OllamaNetError, Permanent
from contracts.ports.bus import DeadSubscription, Subscription

log = structlog.get_logger()
FIRST_DELAY, LONGEST_DELAY = 0.1, 5.0
MOST_WHY = 1000
"""Characters of an error that a dead letter keeps."""

Handle = Callable[[bool], Awaitable[None]]
"""One try; it is told whether an earlier one may have run."""


class Verdict(Enum):
    """What a bus does with a delivery."""

    DONE = auto()
    GIVE_BACK = auto()
    BURY = auto()
    LOST = auto()


@dataclass(frozen=True)
class Held:
    """A delivery that waits for its verdict. `about`: what log lines say of it; `still`: whether it is ours yet."""

    redelivered: bool
    about: Callable[[], dict[str, object]]
    still: Callable[[], bool] = lambda: True


@dataclass(frozen=True)
class Judged:
    """The verdict; for BURY also why, for people."""

    verdict: Verdict
    why: str | None = None


class _DeliveryLost(Exception):
    """It is no longer held: whoever has it now handles it."""


async def judged(subscription: Subscription | DeadSubscription, held: Held, handle: Handle) -> Judged:
    """Run `handle` until it works, cannot work, or `retry_for` seconds are over."""
    try:
        await _until_it_works(subscription, held, handle)
    except (HandOver, asyncio.CancelledError):
        return Judged(Verdict.GIVE_BACK)
    except _DeliveryLost:
        return Judged(Verdict.LOST)
    except Exception as error:
        if isinstance(subscription, DeadSubscription):
            log.error("dead_letter_not_handled", **held.about(), exc_info=error)
            return Judged(Verdict.GIVE_BACK)
        log.error("dead_lettered", **held.about(), exc_info=error)
        return Judged(Verdict.BURY, sentence(error))
    return Judged(Verdict.DONE)


async def _until_it_works(subscription: Subscription | DeadSubscription, held: Held, handle: Handle) -> None:
    hopeless = (HandOver,) if isinstance(subscription, DeadSubscription) else (HandOver, Permanent)
    deadline, delay, redelivered = time.monotonic() + subscription.retry_for, FIRST_DELAY, held.redelivered
    while True:
        try:
            return await handle(redelivered)
        except hopeless:
            raise
        except Exception as error:
            if time.monotonic() + delay > deadline:
                raise
            log.warning("handling_failed", **held.about(), why=repr(error), retry_in_s=delay)
        await asyncio.sleep(delay)
        if not held.still():
            raise _DeliveryLost
        delay, redelivered = min(delay * 2, LONGEST_DELAY), True


def sentence(error: Exception) -> str:
    """The error for people: ours is a sentence, any other begins with what it is. At most 1,000 characters."""
    text = str(error)
    own = isinstance(error, OllamaNetError) and text
    return (text if own else f"{type(error).__name__}: {text}")[:MOST_WHY]
