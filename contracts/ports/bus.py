"""Publishing and handling messages."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from contracts.envelope import Envelope, Message
from contracts.topology import Queue


@dataclass(frozen=True)
class Delivery:
    """How a message came. `redelivered`: an earlier delivery of it may have run."""

    envelope: Envelope
    redelivered: bool


@dataclass(frozen=True)
class Subscription:
    """`handle` is called with each message of the queue whose type is in `messages`; others are dead-lettered.

    concurrency: how many are handled at once (the prefetch).
    retry_for: seconds during which `Transient` errors are retried, with back-off, while the delivery is held.
    resumed: called when the queue is listened to again after its connection was lost; an exclusive queue was gone meanwhile, and
    what was published then never comes.
    """

    queue: Queue
    messages: tuple[type[Message], ...]
    handle: Callable[[Any, Delivery], Awaitable[None]]
    concurrency: int = 1
    retry_for: float = 60.0
    resumed: Callable[[], None] | None = None


@dataclass(frozen=True)
class DeadMessage:
    """What was dead-lettered, as it came: it may be anything.

    attributes: the CloudEvents attributes that it had (without their prefix), unchecked. queue: where it died. reason: `rejected`,
    `expired`, `delivery_limit` or `maxlen`, as RabbitMQ calls them. deliveries: how often that queue handed it out, as far as
    the bus tells. why: the error of the handler that rejected it, where the bus kept that.
    """

    attributes: Mapping[str, str]
    body: bytes
    queue: str
    reason: str
    deliveries: int
    at: datetime
    why: str | None = None


@dataclass(frozen=True)
class DeadSubscription:
    """`handle` is called with whatever lies in a queue of dead letters. What it raises is retried for `retry_for` seconds, with
    back-off, the delivery held; then it goes back to the queue: a dead letter is never lost."""

    queue: Queue
    handle: Callable[[DeadMessage], Awaitable[None]]
    concurrency: int = 1
    retry_for: float = 60.0


class Bus(Protocol):
    """Durable messages between services. An adapter is an async context manager; leaving it closes its connections."""

    async def publish(self, message: Message, *, expires_in: float | None = None) -> None:
        """Put a message on the bus; returned = the bus has it durably (confirmed).

        It never runs a handler and no handler's failure reaches it. `expires_in`: seconds until it is dead-lettered unread.
        Raises Unroutable (a command or outcome that no queue takes), Overloaded (its queue is full), Unavailable (the bus
        did not confirm in time: the message may still arrive later).
        """
        ...

    def consume(
        self, subscriptions: Sequence[Subscription | DeadSubscription], *, drain: float = 20.0
    ) -> AbstractAsyncContextManager[None]:
        """Handle messages while inside. Leaving stops intake first, then waits up to `drain` seconds for what is in flight,
        then cancels it; what was not finished is delivered again, to somebody.

        A handler that returns acks. Raising: Transient → retried here until `retry_for`, then dead-lettered; Permanent, and a
        malformed body → dead-lettered at once; HandOver, or being cancelled → requeued; anything else → as Transient.
        An event queue gets its copy of each event that it is bound to.
        """
        ...

    async def check(self) -> None:
        """Raises Unavailable when the bus does not answer now."""
        ...
