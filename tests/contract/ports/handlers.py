"""Handlers for tests of a bus: they remember, fail, wait."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any

from contracts.envelope import MESSAGES, Message
from contracts.ports.bus import DeadMessage, DeadSubscription, Delivery, Subscription
from contracts.public import ModelAvailable
from contracts.topology import DEAD, Queue, generate_reply_queue

REPLIES = generate_reply_queue()
EVERYTHING = tuple(MESSAGES.values())


class Handler:
    """Remembers what it is given; `does` decides how each call ends."""

    def __init__(self, does: Callable[[Message, Delivery], Any] | None = None) -> None:
        self.messages: list[Message] = []
        self.deliveries: list[Delivery] = []
        self._does = does

    async def __call__(self, message: Message, delivery: Delivery) -> None:
        self.messages.append(message)
        self.deliveries.append(delivery)
        if self._does is not None:
            await self._does(message, delivery)

    def has(self, number: int) -> Callable[[], bool]:
        return lambda: len(self.messages) == number

    @property
    def redelivered(self) -> list[bool]:
        return [one.redelivered for one in self.deliveries]


def failing(*errors: Exception | None) -> Handler:
    """Raises one error after the other, then the last one for ever; None is success."""
    left = list(errors)

    async def fail(_: Message, __: Delivery) -> None:
        error = left.pop(0) if len(left) > 1 else left[0]
        if error is not None:
            raise error

    return Handler(fail)


class Gate:
    """A handler that stays inside until it is opened."""

    def __init__(self) -> None:
        self.open = asyncio.Event()
        self.inside = self.most = self.cancelled = 0
        self.handler = Handler(self._wait)

    async def _wait(self, _: Message, __: Delivery) -> None:
        self.inside += 1
        self.most = max(self.most, self.inside)
        try:
            await self.open.wait()
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        finally:
            self.inside -= 1


def subscribed(queue: Queue, handle: Handler, **changes: Any) -> list[Subscription]:
    fields: dict[str, Any] = {"messages": EVERYTHING, "retry_for": 30.0, **changes}
    return [Subscription(queue=queue, handle=handle, **fields)]


class Graveyard:
    """Remembers letters; raises one error after the other first, then takes them."""

    def __init__(self, *errors: Exception) -> None:
        self.letters: list[DeadMessage] = []
        self._errors = list(errors)

    async def __call__(self, dead: DeadMessage) -> None:
        self.letters.append(dead)
        if self._errors:
            raise self._errors.pop(0)

    def has(self, number: int) -> Callable[[], bool]:
        return lambda: len(self.letters) == number


def buried(graveyard: Callable[[DeadMessage], Awaitable[None]], **changes: Any) -> list[DeadSubscription]:
    fields: dict[str, Any] = {"retry_for": 30.0, **changes}
    return [DeadSubscription(queue=DEAD, handle=graveyard, **fields)]


def model_available(name: str = "small") -> ModelAvailable:
    return ModelAvailable(name=name, backends=("here",), at=datetime.now(UTC))
