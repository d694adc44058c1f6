"""Dead letters on RabbitMQ: what a consumer buries with its reason, and what is read from the queue where they lie.

`reject` carries no reason, so a copy is published to the dead letters' exchange, with what `reject` would have noted and `why`
in headers of our own. The server's `x-delivery-count` is no use for letters: theirs counts the deliveries of their own queue.
"""

from collections.abc import Mapping
from datetime import UTC, datetime

from aio_pika import IncomingMessage
from aio_pika import Message as AmqpMessage
from aio_pika.abc import DeliveryMode

from contracts.envelope import attributes_of
from contracts.ports.bus import DeadMessage

QUEUE, WHY, DELIVERIES, DIED_AT = "ollamanet-died-in", "ollamanet-why", "ollamanet-deliveries", "ollamanet-died-at"
MOST_HEADERS = 64 * 1024
"""Bytes of headers that are copied: they go in one frame of 128 KiB, and a greater one ends the connection."""
COUNTED = "x-delivery-count"
"""Earlier deliveries by the queue that delivers it."""


def letter(message: IncomingMessage, queue: str, why: str) -> AmqpMessage:
    """The copy of a message that dies in this queue: all of it but its time to live, and its publisher, whom the server checks.

    Raises ValueError for headers that are too large.
    """
    if len(repr(message.headers).encode()) > MOST_HEADERS:
        raise ValueError(f"headers of more than {MOST_HEADERS} bytes")
    noted = {
        QUEUE: queue,
        WHY: why,
        DELIVERIES: _number(message.headers.get(COUNTED)) + 1,
        DIED_AT: datetime.now(UTC).isoformat(),
    }
    kept = {name: value for name, value in message.headers.items() if name != COUNTED}
    return AmqpMessage(
        message.body,
        headers={**kept, **noted},
        content_type=message.content_type,
        content_encoding=message.content_encoding,
        delivery_mode=DeliveryMode.PERSISTENT,
        correlation_id=message.correlation_id,
        message_id=message.message_id,
        timestamp=message.timestamp,
        type=message.type,
        app_id=message.app_id,
    )


def dead_message(message: IncomingMessage) -> DeadMessage:
    """The letter, from our own headers, else from the server's; it may be anything, and is read all the same."""
    headers = message.headers
    death = _last_death(headers)
    own = QUEUE in headers
    return DeadMessage(
        attributes=attributes_of(headers),
        body=message.body,
        queue=_text(headers[QUEUE] if own else death.get("queue") or message.routing_key),
        reason="rejected" if own else _text(death.get("reason") or "rejected"),
        deliveries=_number(headers.get(DELIVERIES)),
        at=_moment(headers.get(DIED_AT) if own else death.get("time")),
        why=_text(headers[WHY]) if WHY in headers else None,
    )


def _last_death(headers: Mapping[str, object]) -> Mapping[str, object]:
    deaths = headers.get("x-death")
    if isinstance(deaths, list) and deaths and isinstance(deaths[0], dict):
        return deaths[0]
    return {"queue": headers.get("x-first-death-queue"), "reason": headers.get("x-first-death-reason")}


def _text(value: object) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value or "")


def _number(value: object) -> int:
    return value if isinstance(value, int) else 0


def _moment(value: object) -> datetime:
    """Where none can be read: now."""
    if isinstance(value, datetime):
        return value if value.tzinfo else value.replace(tzinfo=UTC)
    try:
        return datetime.fromisoformat(_text(value)).astimezone(UTC)
    except ValueError:
        return datetime.now(UTC)
