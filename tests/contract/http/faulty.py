"""A bus that fails as it is told."""

from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager

from contracts.envelope import Message
from contracts.ports.bus import Bus, Subscription


class FaultyBus(Bus):
    """A real bus that fails as told: `fails[type]` is raised when a message of that type is published. `before`: runs before each is.
    `published`: what went through."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus
        self.fails: dict[type[Message], Exception] = {}
        self.published: list[Message] = []
        self.before: Callable[[], Awaitable[None]] | None = None
        self.tried = 0

    async def publish(self, message: Message, *, expires_in: float | None = None) -> None:
        self.tried += 1
        if self.before is not None:
            await self.before()
        fault = self.fails.get(type(message))
        if fault is not None:
            raise fault
        await self._bus.publish(message, expires_in=expires_in)
        self.published.append(message)

    @asynccontextmanager
    async def consume(
        self, subscriptions: Sequence[Subscription], *, drain: float = 20.0
    ) -> AsyncGenerator[None, None]:
        async with self._bus.consume(subscriptions, drain=drain):
            yield

    async def check(self) -> None:
        await self._bus.check()
