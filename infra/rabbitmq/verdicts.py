"""What becomes of a delivery: errors → ack, requeue or dead letter, decided here alone.

    returned                              ack
    Transient, and anything unforeseen    tried again here, with back-off, until `retry_for`; then as Permanent
    Permanent                             reject: its queue's dead letters
    HandOver, cancelled                   nack(requeue): somebody else, now
    the delivery is no longer ours        nothing: the server gave it to somebody already

Never nack(requeue) to try again: the server adds no delay, so one outage would use up the delivery limit of everything.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from enum import Enum, auto

import structlog
from aio_pika import IncomingMessage
from aio_pika.exceptions import CONNECTION_EXCEPTIONS, ChannelInvalidStateError

from contracts.envelope import PREFIX
from contracts.errors import HandOver, Permanent

log = structlog.get_logger()
FIRST_DELAY, LONGEST_DELAY = 0.1, 5.0


class Verdict(Enum):
    """What the server is told."""

    DONE = auto()
    GIVE_BACK = auto()
    BURY = auto()
    LOST = auto()


class _DeliveryLost(Exception):
    """Its channel closed while it waited for the next try."""


async def judged(message: IncomingMessage, handle: Callable[[bool], Awaitable[None]], retry_for: float) -> Verdict:
    """Run `handle(redelivered)` until it works or `retry_for` seconds are over."""
    try:
        await _until_it_works(message, handle, retry_for)
    except (HandOver, asyncio.CancelledError):
        return Verdict.GIVE_BACK
    except _DeliveryLost:
        return Verdict.LOST
    except Exception as error:
        log.error("dead_lettered", **_about(message), exc_info=error)
        return Verdict.BURY
    return Verdict.DONE


async def tell(message: IncomingMessage, verdict: Verdict) -> None:
    """Tell the server. A verdict on a delivery whose channel is gone is harmless: it was given to somebody already."""
    try:
        match verdict:
            case Verdict.DONE:
                await message.ack()
            case Verdict.GIVE_BACK:
                await message.nack(requeue=True)
            case Verdict.BURY:
                await message.reject(requeue=False)
            case Verdict.LOST:
                raise ChannelInvalidStateError
    except (*CONNECTION_EXCEPTIONS, asyncio.CancelledError):  # aiormq cancels what waits on a closing channel
        log.info("delivery_lost", **_about(message), verdict=verdict.name.lower())


async def _until_it_works(
    message: IncomingMessage, handle: Callable[[bool], Awaitable[None]], retry_for: float
) -> None:
    deadline, delay, redelivered = time.monotonic() + retry_for, FIRST_DELAY, bool(message.redelivered)
    while True:
        try:
            return await handle(redelivered)
        except (Permanent, HandOver):
            raise
        except Exception as error:
            if time.monotonic() + delay > deadline:
                raise
            log.warning("handling_failed", **_about(message), why=repr(error), retry_in_s=delay)
        await asyncio.sleep(delay)
        if not is_held(message):
            raise _DeliveryLost
        delay, redelivered = min(delay * 2, LONGEST_DELAY), True


def is_held(message: IncomingMessage) -> bool:
    """Whether the delivery is still ours: its channel is open."""
    try:
        return bool(message.channel)
    except ChannelInvalidStateError:
        return False


def _about(message: IncomingMessage) -> dict[str, object]:
    named = {name: message.headers.get(PREFIX + name) for name in ("type", "subject")}
    return {"routing_key": message.routing_key, "message_id": message.message_id, **named}
