"""`BackendRoster`: the back-ends of the configuration and of the registry, opened while they are listed."""

import asyncio
from collections import deque
from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from dataclasses import dataclass
from types import TracebackType
from typing import Self

import structlog

from contracts.errors import Unavailable
from contracts.ports.backend import Backend, BackendRoster
from contracts.ports.stores import Backends
from contracts.records import BackendSettings, RegisteredBackend
from contracts.registering import Registered, read_registry
from infra.backends.opening import opened

log = structlog.get_logger()

EVERY = 2.0
"""Seconds between two looks at the registry."""
LINGER = 25 * 60.0
"""Seconds that a back-end's connections stay open once it is listed no more: the longest that a call may take."""
LEAVING = 100
"""Back-ends that linger at most; the one that lingers longest goes first."""


@dataclass(frozen=True)
class _Listed:
    """What there is to open; `trusted`: it may be at a private address."""

    settings: BackendSettings
    trusted: bool


@dataclass(frozen=True)
class _Open:
    listed: _Listed
    backend: Backend
    connections: AbstractAsyncContextManager[Backend]


class Roster(BackendRoster):
    """Opened when entered. `configured` are trusted, and go before those of the registry that have the same name.

    registry: None where there is none. pool: only the back-ends of that pool; None: all. must_read: entering raises Unavailable
    where the registry does not answer, instead of beginning without it.
    """

    def __init__(
        self,
        configured: Sequence[BackendSettings],
        registry: Backends | None,
        *,
        allow_private: bool,
        pool: str | None = None,
        must_read: bool = False,
        every: float = EVERY,
        linger: float = LINGER,
    ) -> None:
        self._configured = {one.name: _Listed(one, trusted=True) for one in configured}
        self._registry = registry
        self._allow_private = allow_private
        self._pool = pool
        self._must_read = must_read
        self._every = every
        self._linger = linger
        self._open: dict[str, _Open] = {}
        self._backends: Mapping[str, Backend] = {}
        self._leaving: deque[tuple[float, _Open]] = deque()
        self._refreshing = asyncio.Lock()
        self._told: frozenset[tuple[str, str]] = frozenset()
        """What was logged of single back-ends, so that it is said once."""
        self._silent = False
        """Whether the registry did not answer when it was last asked."""
        self._looking: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        try:
            await self._bring(Registered())
            if self._registry is not None:
                await self._first_look()
                self._looking = asyncio.create_task(self._look(), name="roster")
        except BaseException:
            await self._close()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._looking is not None:
            self._looking.cancel()
            await asyncio.gather(self._looking, return_exceptions=True)
        await self._close()

    @property
    def backends(self) -> Mapping[str, Backend]:
        return self._backends

    async def refresh(self) -> None:
        if self._registry is None:
            return
        async with self._refreshing:
            await self._bring(await read_registry(self._registry))

    async def _first_look(self) -> None:
        try:
            await self.refresh()
        except Unavailable as error:
            if self._must_read:
                raise
            self._note_silence(str(error))

    async def _look(self) -> None:
        while True:
            await asyncio.sleep(self._every)
            try:
                await self.refresh()
            except Unavailable as error:
                self._note_silence(str(error))
            except Exception as error:
                log.error("roster_refresh_crashed", exc_info=error)
            else:
                self._note_voice()
            await self._part()

    def _note_silence(self, why: str) -> None:
        if not self._silent:
            log.warning("registry_not_read", why=why)
        self._silent = True

    def _note_voice(self) -> None:
        if self._silent:
            log.info("registry_read_again")
        self._silent = False

    async def _bring(self, found: Registered) -> None:
        """Open what is new or another one, let go of what is listed no more; what cannot be read stays as it was."""
        wrong = {name: why for name, why in found.unreadable.items() if name not in self._configured}
        listed = {one.settings.name: self._listed(one) for one in found.sound.values()} | self._configured
        wanted = {name: one for name, one in listed.items() if self._pool in (None, one.settings.pool)}
        fresh = {name: one for name, one in self._open.items() if name in wrong and name not in wanted}
        for name, one in wanted.items():
            known = self._open.get(name)
            try:
                fresh[name] = known if known and known.listed == one else await self._opened(one)
            except ValueError as error:
                wrong[name] = str(error)
        self._tell(wrong)
        gone = [one for name, one in self._open.items() if fresh.get(name) is not one]
        if gone or fresh.keys() != self._open.keys():
            self._open = fresh
            self._backends = {name: one.backend for name, one in sorted(fresh.items())}
        until = asyncio.get_running_loop().time() + self._linger
        self._leaving.extend((until, one) for one in gone)
        await self._part()

    def _listed(self, one: RegisteredBackend) -> _Listed:
        return _Listed(one.settings, trusted=self._allow_private or one.source == "configuration")

    async def _opened(self, one: _Listed) -> _Open:
        connections = opened(one.settings, allow_private=one.trusted)
        return _Open(one, await connections.__aenter__(), connections)

    def _tell(self, wrong: Mapping[str, str]) -> None:
        """What keeps single back-ends out, each once while it lasts."""
        for name, why in wrong.items():
            if (name, why) not in self._told:
                log.warning("backend_not_opened", backend=name, why=why)
        self._told = frozenset(wrong.items())

    async def _part(self) -> None:
        """Close the connections of those that lingered long enough: calls that ran when they were let go may end."""
        now = asyncio.get_running_loop().time()
        while self._leaving and (self._leaving[0][0] <= now or len(self._leaving) > LEAVING):
            await self._leaving.popleft()[1].connections.__aexit__(None, None, None)

    async def _close(self) -> None:
        async with AsyncExitStack() as stack:
            for one in (*self._open.values(), *(one for _, one in self._leaving)):
                stack.push_async_exit(one.connections)
        self._open, self._backends = {}, {}
        self._leaving.clear()
