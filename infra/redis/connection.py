"""A connection to Redis that comes back: greets, loads scripts, and opens again, by itself, when it was lost."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from types import TracebackType
from typing import Any, Self

import hiredis
import structlog

from contracts.errors import Unavailable
from infra.redis.address import Address
from infra.redis.scripts import Script
from infra.redis.wire import PATIENCE, Command, Told, Wire

log = structlog.get_logger()

FIRST_PAUSE, LONGEST_PAUSE = 0.02, 1.0
"""Seconds between tries to open it again; the first try is at once."""

READY = 1.0
"""Seconds that a call waits for a connection that is being opened; that takes 2 ms where somebody answers."""

_SENTENCES = {
    "LOADING": "Redis is still reading its data.",
    "BUSY": "Redis is busy with a script.",
    "READONLY": "This Redis is a read-only replica.",
    "MASTERDOWN": "This Redis replica has lost its master.",
    "OOM": "Redis has no memory left (maxmemory).",
    "MISCONF": "Redis cannot write to its disk and refuses writes.",
    "NOAUTH": "Redis wants a password.",
    "WRONGPASS": "Redis refuses the password.",
    "NOPERM": "The Redis account lacks a permission.",
    "MOVED": "This Redis is a cluster, and the key is on another node.",
    "CLUSTERDOWN": "The Redis cluster is down.",
    "NOREPLICAS": "Redis has too few replicas to write.",
}


class Connection:
    """One connection, shared by everything in the process. Entering raises Unavailable when Redis does not answer.

    `on_message` hears channels. `on_open` runs with each new wire before anybody else uses it; `on_lost` when it is gone.
    """

    def __init__(
        self,
        url: str,
        scripts: Mapping[str, Script] | None = None,
        *,
        on_message: Told | None = None,
        on_open: Callable[[Wire], Awaitable[None]] | None = None,
        on_lost: Callable[[str], None] | None = None,
    ) -> None:
        self._address = Address.of(url)
        self._scripts = scripts or {}
        self._on_message = on_message
        self._on_open = on_open
        self._on_lost = on_lost
        self._wire: Wire | None = None
        self._opening: asyncio.Task[Wire] | None = None
        self._returning: asyncio.Task[None] | None = None
        self._why = "The connection to Redis is closed."
        self._opened_at = 0.0

    async def __aenter__(self) -> Self:
        await self._open()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        wire, self._wire = self._wire, None
        self._why = "The connection to Redis is closed."
        if wire is not None:
            wire.on_lost = None
            await wire.close()
        for task in (self._returning, self._opening):
            if task is not None:
                task.cancel()
                with suppress(asyncio.CancelledError, Unavailable):
                    await task

    @property
    def age(self) -> float:
        """Seconds since it was opened the last time; 0 while it is lost."""
        return 0.0 if self._wire is None else time.monotonic() - self._opened_at

    async def call(self, *command: str | bytes | int) -> Any:
        """The reply to a command. Raises Unavailable."""
        wire = self._wire or await self.ready()
        return checked(await wire.send(command))

    def tell(self, *command: str | bytes | int) -> None:
        """Send a command and wait for nothing: it comes after what was asked before. Where the connection is lost, it is not done."""
        if self._wire is not None:
            with suppress(Unavailable):
                self._wire.send(command).add_done_callback(lambda it: it.cancelled() or it.exception())

    async def each(self, *commands: Command) -> list[Any]:
        """The replies to commands that go out together, and are run in this order. (No MULTI: a full Redis refuses even reads in it.)"""
        wire = self._wire or await self.ready()
        return [checked(one) for one in await asyncio.gather(*map(wire.send, commands))]

    async def run(self, script: str, *arguments: str | bytes | int, first: Sequence[Command] = ()) -> Any:
        """What a script answers; `arguments`: the number of keys, the keys, the others. `first`: commands that go out ahead of it,
        with it."""
        command = ("EVALSHA", self._scripts[script].sha, *arguments)
        wire = self._wire or await self.ready()
        if first:
            *done, reply = await asyncio.gather(*map(wire.send, (*first, command)))
            for one in done:
                checked(one)
        else:
            reply = await wire.send(command)
        if type(reply) is hiredis.ReplyError and str(reply).startswith("NOSCRIPT"):
            await self._load(wire)
            reply = await wire.send(command)
        return checked(reply)

    async def ready(self) -> Wire:
        """The open wire, or the one that is being opened right now. Raises Unavailable when that fails or takes long, or none is."""
        if self._wire is not None:
            return self._wire
        if self._opening is None:
            raise Unavailable(self._why)
        try:
            async with asyncio.timeout(READY):
                return await asyncio.shield(self._opening)
        except TimeoutError:
            raise Unavailable(self._why) from None

    async def _open(self) -> Wire:
        try:
            async with asyncio.timeout(PATIENCE):
                wire = await self._address.connect(lambda: Wire(self._on_message))
                await self._prepare(wire)
        except TimeoutError:
            raise Unavailable(f"Redis at {self._address.name} does not answer.") from None
        except OSError as error:
            raise Unavailable(f"Redis at {self._address.name} cannot be reached: {error}") from error
        if wire.closed.done():  # in the same turn as its last reply; `on_lost` would never come
            raise Unavailable(f"Redis at {self._address.name} closed the connection.")
        wire.on_lost = self._lost
        self._wire, self._opened_at = wire, time.monotonic()
        return wire

    async def _prepare(self, wire: Wire) -> None:
        try:
            for reply in await asyncio.gather(*map(wire.send, self._address.greeting)):
                checked(reply)
            await self._load(wire)
            if self._on_open is not None:
                await self._on_open(wire)
        except BaseException:
            wire.abort("The connection to Redis could not be prepared.")
            raise

    async def _load(self, wire: Wire) -> None:
        """Give Redis the scripts: it forgets them when it restarts."""
        loads = [wire.send(("SCRIPT", "LOAD", one.text)) for one in self._scripts.values()]
        for reply in await asyncio.gather(*loads):
            checked(reply)

    def _lost(self, why: str) -> None:
        self._wire, self._why = None, why
        log.warning("redis_connection_lost", server=self._address.name, why=why)
        if self._on_lost is not None:
            self._on_lost(why)
        self._opening = asyncio.create_task(self._open())
        self._returning = asyncio.create_task(self._return(self._opening))

    async def _return(self, opening: asyncio.Task[Wire]) -> None:
        pause = FIRST_PAUSE
        while True:
            try:
                await opening
            except Unavailable as error:
                self._opening, self._why = None, str(error)
                await asyncio.sleep(pause)
                pause = min(pause * 2, LONGEST_PAUSE)
                opening = self._opening = asyncio.create_task(self._open())
            else:
                if self._opening is opening:  # else it was lost again meanwhile
                    self._opening = None
                log.info("redis_connection_back", server=self._address.name)
                return


def checked(reply: Any) -> Any:
    """The reply; Unavailable, with a sentence, where it is an error."""
    if not isinstance(reply, hiredis.ReplyError):
        return reply
    known = _SENTENCES.get(str(reply).split(" ", 1)[0])
    if known is None:
        log.error("redis_refused_a_call", why=str(reply))
    raise Unavailable(known or f"Redis refused a call: {reply}")
