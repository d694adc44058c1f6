"""What RabbitMQ is told of a delivery. Which verdict it is, `contracts/verdicts.py` decides."""

import asyncio
from collections.abc import Awaitable, Callable

import structlog
from aio_pika import IncomingMessage
from aio_pika.exceptions import CONNECTION_EXCEPTIONS, ChannelInvalidStateError

from contracts.envelope import PREFIX
from contracts.verdicts import Held, Judged, Verdict

log = structlog.get_logger()

Bury = Callable[[IncomingMessage, str], Awaitable[None]]
"""Put a message and why it died where dead letters lie; returned = it is there."""


def held(message: IncomingMessage) -> Held:
    """The delivery as its judge sees it."""
    return Held(bool(message.redelivered), lambda: about(message), lambda: is_held(message))


def is_held(message: IncomingMessage) -> bool:
    """Whether the delivery is still ours: its channel is open."""
    try:
        return bool(message.channel)
    except ChannelInvalidStateError:
        return False


def about(message: IncomingMessage) -> dict[str, object]:
    """What a log line says of it."""
    named = {name: message.headers.get(PREFIX + name) for name in ("type", "subject")}
    return {"routing_key": message.routing_key, "message_id": message.message_id, **named}


async def tell(message: IncomingMessage, judged: Judged, bury: Bury | None = None) -> None:
    """Tell the server. A verdict on a delivery whose channel is gone is harmless: it was given to somebody already."""
    try:
        match judged.verdict:
            case Verdict.DONE:
                await message.ack()
            case Verdict.GIVE_BACK:
                await message.nack(requeue=True)
            case Verdict.BURY if bury is not None and await _buried(message, judged.why or "", bury):
                await message.ack()
            case Verdict.BURY:
                await message.reject(requeue=False)
            case Verdict.LOST:
                raise ChannelInvalidStateError
    except (*CONNECTION_EXCEPTIONS, asyncio.CancelledError):  # aiormq cancels what waits on a closing channel
        log.info("delivery_lost", **about(message), verdict=judged.verdict.name.lower())


async def _buried(message: IncomingMessage, why: str, bury: Bury) -> bool:
    """Whether a copy that tells why lies among the dead letters, confirmed; if not, `reject` moves the message without a word."""
    if not is_held(message):
        return False
    try:
        await bury(message, why)
    except Exception as error:  # noqa: BLE001 - it may hold what nobody can encode: it dies all the same
        log.warning("buried_without_why", **about(message), why=why, because=str(error))
        return False
    return True
