"""Finds out which models go on from an answer that was begun: each model on each back-end once, in the background."""

import asyncio
import math
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from types import TracebackType
from typing import Self

import structlog

from contracts.errors import BackendFailed, Unavailable
from contracts.ports.backend import Backend, BackendRoster
from contracts.ports.stores import Probes
from contracts.probing import probe
from contracts.records import Probe

log = structlog.get_logger()

LONGEST = 30.0
"""Seconds that a probe may take, waiting for an idle back-end included."""
LOOK = 0.02
"""Seconds between looks whether somebody needs the last slot, which ends a probe at once."""
AGAIN = 30.0
"""Seconds until a model is looked at again that was looked at, or could not be probed."""
DECIDING = 1.0
"""Seconds that somebody who waits for an answer gives us to say whether it can go on."""
FRESH = 60.0
"""Seconds that a list of digests is believed. Where models are used it is asked for again after half of that, in the background, so that
nobody's answer waits for it."""
UNVERSIONED = timedelta(days=1)
"""How long a verdict holds about a model whose back-end tells no digests."""

Digests = Mapping[str, str | None]


class Probing:
    """What is known of the models of that pool's back-ends. `idle(name)`: nobody needs that one's last slot. `enabled` False: nothing
    ever is.

    While inside, models that were `used` are probed, one at a time.
    """

    def __init__(
        self, probes: Probes, roster: BackendRoster, pool: str, idle: Callable[[str], bool], *, enabled: bool = True
    ) -> None:
        self._probes = probes
        self._roster = roster
        self._pool = pool
        self._idle = idle
        self._enabled = enabled
        self._digests: dict[str, tuple[float, Digests]] = {}
        self._found: dict[tuple[str, str], Probe] = {}
        self._not_before: dict[tuple[str, str], float] = {}
        self._wanted: dict[tuple[str, str], Backend] = {}
        self._listing: asyncio.Task[None] | None = None
        self._work: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        if self._enabled:
            self._listing = asyncio.create_task(self._list_all(), name="digests")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._enabled = False
        tasks = [one for one in (self._listing, self._work) if one is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    @property
    def _backends(self) -> Mapping[str, Backend]:
        return {name: one for name, one in self._roster.backends.items() if one.settings.pool == self._pool}

    async def continues(self, backend: Backend, model: str, begun_by: str | None) -> bool:
        """Whether that back-end's model goes on from what the same model said on the back-end of that name. False in doubt."""
        if not self._enabled or begun_by is None:
            return False
        try:
            async with asyncio.timeout(DECIDING):
                return await self._decide(backend, _plain(model), begun_by)
        except (TimeoutError, Unavailable, BackendFailed) as error:
            log.warning("continuing_not_decided", backend=backend.settings.name, model=model, why=repr(error))
            return False

    def used(self, backend: Backend, model: str) -> None:
        """The model has just answered there, so it is loaded: find out what is not known of it, when nobody is kept waiting by that."""
        key = backend.settings.name, _plain(model)
        if not self._enabled or self._not_before.get(key, -math.inf) > time.monotonic():
            return
        self._wanted[key] = backend
        if self._work is None or self._work.done():
            self._work = asyncio.create_task(self._probe_all(), name="probing")

    async def _list_all(self) -> None:
        """At once, not at the first use: what Ollama's adapter learns by it belongs in the first call (another `num_ctx` later would
        make Ollama load the model again)."""
        await asyncio.gather(*(self._list(one) for one in self._backends.values()), return_exceptions=True)

    async def _list(self, backend: Backend) -> Digests:
        digests = {_plain(one.name): one.digest for one in await backend.models()}
        self._digests[backend.settings.name] = time.monotonic(), digests
        return digests

    async def _decide(self, backend: Backend, model: str, begun_by: str) -> bool:
        digest = await self._digest(backend, model, FRESH)
        known = await self._known(backend.settings.name, model, digest)
        # nobody was sent there yet: what the very same model did elsewhere holds here, too
        if known is None and digest is not None:
            known = await self._known(begun_by, model, digest)
        return known is not None and known.continues and await self._same(backend, model, digest, begun_by)

    async def _same(self, backend: Backend, model: str, digest: str | None, begun_by: str) -> bool:
        """Whether it is the same model, on a server of the same kind, that began."""
        if begun_by == backend.settings.name:
            return True
        writer = self._backends.get(begun_by)
        if writer is not None:
            return (
                writer.settings.kind == backend.settings.kind and await self._digest(writer, model, math.inf) == digest
            )
        # another worker's own back-end: one that tells the same digest is a server of the same kind
        return digest is not None and await self._known(begun_by, model, digest) is not None

    async def _digest(self, backend: Backend, model: str, fresh: float) -> str | None:
        """As it was told at most `fresh` seconds ago. Raises BackendFailed, also when it does not have the model."""
        listed_at, digests = self._digests.get(backend.settings.name, (-math.inf, {}))
        if not digests or time.monotonic() - listed_at > fresh:
            digests = await self._list(backend)
        try:
            return digests[model]
        except KeyError:
            raise BackendFailed("backend_error", f"{backend.settings.name} does not list {model!r}.") from None

    async def _known(self, backend: str, model: str, digest: str | None) -> Probe | None:
        found = self._found.get((backend, model))
        if found is None or not _holds(found, digest):
            found = await self._probes.known(backend, model, digest)
            if found is None or not _holds(found, digest):
                return None
            self._found[backend, model] = found
        return found

    async def _probe_all(self) -> None:
        while self._wanted:
            key = next(iter(self._wanted))
            backend = self._wanted.pop(key)
            self._not_before[key] = time.monotonic() + AGAIN
            try:
                async with asyncio.timeout(LONGEST):
                    await self._find_out(backend, key[1])
            except (TimeoutError, Unavailable, BackendFailed) as error:
                log.info("not_probed", backend=key[0], model=key[1], why=repr(error))

    async def _find_out(self, backend: Backend, model: str) -> None:
        name, digest = backend.settings.name, await self._digest(backend, model, FRESH / 2)
        known = await self._known(name, model, digest)
        if known is not None:
            if await self._probes.known(name, model, digest) is None:
                await self._probes.keep(known)  # it was lost where the other workers look
            return
        continues = None
        while continues is None:
            continues = await self._unless_needed(backend, model)
        found = Probe(backend=name, model=model, digest=digest, continues=continues, probed_at=datetime.now(UTC))
        self._found[name, model] = found
        await self._probes.keep(found)
        log.info("probed", backend=name, model=model, digest=digest, continues=continues)

    async def _unless_needed(self, backend: Backend, model: str) -> bool | None:
        """The verdict; None when somebody needs the slot."""
        if not self._idle(backend.settings.name):
            await asyncio.sleep(LOOK)
            return None
        probing = asyncio.create_task(probe(backend, model))
        try:
            while not probing.done() and self._idle(backend.settings.name):
                await asyncio.wait({probing}, timeout=LOOK)
            return probing.result() if probing.done() else None
        finally:
            probing.cancel()
            await asyncio.gather(probing, return_exceptions=True)


def _holds(found: Probe, digest: str | None) -> bool:
    return found.digest == digest and (digest is not None or datetime.now(UTC) - found.probed_at < UNVERSIONED)


def _plain(model: str) -> str:
    return model.removesuffix(":latest")
