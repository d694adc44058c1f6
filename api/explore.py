"""The models as this edge shows them: read from the store, kept until an event says that they changed."""

import asyncio
import time
from collections.abc import Mapping, Sequence

import structlog

from api import metrics
from api.errors import CannotChat, ModelUnavailable
from contracts.errors import Unavailable, UnknownModel
from contracts.ports.bus import Delivery
from contracts.ports.stores import Models
from contracts.public import ModelAvailable
from contracts.public import ModelUnavailable as ModelGone
from contracts.records import BackendHealth, Model
from contracts.topology import DEFAULT_POOL

log = structlog.get_logger()

OLDEST = 5.0
"""Seconds after which the list is read again even without an event: one may be lost while the broker restarts."""
MOST_POOLS = 16
"""Lines that are looked through for a question whose pool nobody here knows."""
AGAIN = 1.0
"""Seconds until the next look at a store that did not answer."""


class Explore:
    """One edge's copy of the catalog."""

    def __init__(self, models: Models) -> None:
        self._models = models
        self._known: dict[str, Model] = {}
        self._read_at: float | None = None
        self._drops = 0
        self._reading = asyncio.Lock()

    async def models(self) -> Mapping[str, Model]:
        """All models by name, as last read where the store does not answer now. Raises Unavailable where nothing was read yet."""
        if self._stale():
            async with self._reading:
                if self._stale():
                    await self._read()
        return self._known

    async def chatting(self, name: str) -> Model:
        """A model that answers questions now. Raises UnknownModel, ModelUnavailable, CannotChat."""
        model = await self.available(name)
        if not any("chat" in one.capabilities for one in model.served_by):
            raise CannotChat(model.name)
        return model

    async def health(self) -> Sequence[BackendHealth]:
        """What the catalog last saw of each back-end. Raises Unavailable."""
        return await self._models.health()

    async def drop(self, event: ModelAvailable | ModelGone, delivery: Delivery) -> None:
        """A model came, changed or went: the next look reads the store."""
        self._read_at = None
        self._drops += 1

    async def available(self, name: str) -> Model:
        """A model that can be asked now; `x` and `x:latest` are one. Raises UnknownModel, ModelUnavailable."""
        model = (await self.models()).get(plain_name(name))
        if model is None:
            raise UnknownModel(name)
        if not model.available:
            raise ModelUnavailable(model.name)
        return model

    def _stale(self) -> bool:
        return self._read_at is None or time.monotonic() - self._read_at > OLDEST

    async def _read(self) -> None:
        began, drops = time.monotonic(), self._drops
        try:
            models = await self._models.all()
        except Unavailable as error:
            if not self._known:
                raise
            log.warning("models_not_read", why=str(error))
            self._read_at = time.monotonic() - OLDEST + AGAIN
            return
        metrics.EXPLORE.inc()
        self._known = {one.name: one for one in models}
        self._read_at = began if drops == self._drops else None  # it changed while it was read: once more


def plain_name(name: str) -> str:
    """`x` and `x:latest` are one model, called `x`."""
    return name.removesuffix(":latest")


def pool_of(model: Model) -> str:
    """Which pool's workers answer: the default one where it serves the model."""
    pools = [one.pool for one in model.served_by]
    return DEFAULT_POOL if DEFAULT_POOL in pools else pools[0]


def pools_for(models: Mapping[str, Model], name: str) -> tuple[str, ...]:
    """Where a question for that model may wait, the likeliest pool first; at most 16."""
    own = models.get(name)
    first = [] if own is None or not own.available else [pool_of(own)]
    likely = [] if own is None else [one.pool for one in own.served_by]
    others = sorted({one.pool for model in models.values() for one in model.served_by})
    return tuple(dict.fromkeys((*first, *likely, DEFAULT_POOL, *others)))[:MOST_POOLS]


def context_length_of(model: Model) -> int | None:
    """Tokens that every back-end of the model takes; None where none tells."""
    told = [one.context_length for one in model.served_by if one.context_length]
    return min(told) if told else None
