"""The one pub/sub connection of a process: channels, and those here who listen to them."""

import asyncio
from contextlib import suppress
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Protocol, Self

from contracts.errors import Unavailable
from infra.redis.connection import Connection, checked
from infra.redis.wire import Wire

PING_EVERY = 2.0
"""Seconds; a connection that leads nowhere is noticed 5 s after the ping that it swallowed."""


class Listener(Protocol):
    """Hears one channel. Nothing here may wait or raise."""

    def message(self, data: bytes) -> None:
        """Something was published."""
        ...

    def lost(self, why: str) -> bool:
        """The connection is gone; whether to subscribe this listener again when it is back."""
        ...

    def back(self) -> None:
        """Subscribed again; what was published meanwhile was not heard."""
        ...


@dataclass
class _Channel:
    confirmed: asyncio.Future[Any]
    listeners: list[Listener] = field(default_factory=list[Listener])


class Subscriptions:
    """Listeners by channel. A channel is subscribed once, however many listen."""

    def __init__(self, url: str) -> None:
        self._connection = Connection(url, on_message=self._heard, on_open=self._subscribe_again, on_lost=self._lost)
        self._channels: dict[str, _Channel] = {}
        self._wire: Wire | None = None
        self._pinging: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        await self._connection.__aenter__()
        self._pinging = asyncio.create_task(self._ping(), name="redis subscriptions")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._pinging is not None:
            self._pinging.cancel()
            with suppress(asyncio.CancelledError):
                await self._pinging
        await self._connection.__aexit__(kind, error, trace)
        self._lost("The connection to Redis is closed.")

    @property
    def age(self) -> float:
        """Seconds that the connection has lasted; 0 while it is lost."""
        return self._connection.age

    async def add(self, name: str, listener: Listener) -> None:
        """Returns when Redis has confirmed: from now on the listener hears everything. Raises Unavailable.

        Whatever comes of it, `remove` it afterwards.
        """
        wire = await self._connection.ready()
        channel = self._channels.get(name)
        if channel is None:
            channel = self._channels[name] = _Channel(_asked(wire, name))
        if listener not in channel.listeners:
            channel.listeners.append(listener)
        checked(await asyncio.shield(channel.confirmed))

    async def remove(self, name: str, listener: Listener) -> None:
        """Returns when Redis knows it, or is away, which comes to the same."""
        channel = self._channels.get(name)
        if channel is None or listener not in channel.listeners:
            return
        channel.listeners.remove(listener)
        if channel.listeners:
            return
        del self._channels[name]
        with suppress(Unavailable):
            if self._wire is not None:  # in one turn with the removal, so that a new `add` comes after it
                await self._wire.send(("UNSUBSCRIBE", name))

    def _heard(self, name: bytes, data: bytes) -> None:
        channel = self._channels.get(name.decode())
        for listener in () if channel is None else tuple(channel.listeners):
            listener.message(data)

    async def _subscribe_again(self, wire: Wire) -> None:
        self._wire = wire
        for name, channel in self._channels.items():
            channel.confirmed = _asked(wire, name)
        for reply in await asyncio.gather(*(one.confirmed for one in self._channels.values())):
            checked(reply)
        for channel in self._channels.values():
            for listener in channel.listeners:
                listener.back()

    def _lost(self, why: str) -> None:
        self._wire = None
        for name, channel in list(self._channels.items()):
            channel.listeners[:] = [one for one in channel.listeners if one.lost(why)]
            if not channel.listeners:
                del self._channels[name]

    async def _ping(self) -> None:
        while True:
            await asyncio.sleep(PING_EVERY)
            with suppress(Unavailable):
                await self._connection.call("PING")


def _asked(wire: Wire, name: str) -> asyncio.Future[Any]:
    confirmed = wire.send(("SUBSCRIBE", name))
    confirmed.add_done_callback(lambda it: it.cancelled() or it.exception())  # those who waited may have left
    return confirmed
