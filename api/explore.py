"""The models as this edge shows them: read from the store, kept until an event says that they changed."""

import asyncio
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import structlog

from api import metrics
from api.errors import CannotChat, ModelRetired, ModelUnavailable
from contracts.errors import Unavailable, UnknownModel
from contracts.ports.bus import Delivery
from contracts.ports.stores import Models
from contracts.public import ModelEvent
from contracts.records import Alias, BackendHealth, BackendModel, Model
from contracts.topology import DEFAULT_POOL

log = structlog.get_logger()

Status = Literal["available", "unavailable", "retired"]

OLDEST = 5.0
"""Seconds after which the list is read again even without an event: one may be lost while the broker restarts."""
MOST_POOLS = 16
"""Lines that are looked through for a question whose pool nobody here knows."""
AGAIN = 1.0
"""Seconds until the next look at a store that did not answer."""


@dataclass(frozen=True)
class Choice:
    """A name that people may choose: a model's own, or an alias.

    `shown`: the model under that name. `model`: the one that answers, under its own; None where an alias' model is gone.
    """

    shown: Model
    model: Model | None
    alias_of: str | None = None

    @property
    def listed(self) -> bool:
        """Whether it can be asked now, so that other APIs list it."""
        return status_of(self.shown) == "available"


class Explore:
    """One edge's copy of the catalog."""

    def __init__(self, models: Models) -> None:
        self._models = models
        self._known: Mapping[str, Model] = {}
        self._choices: Mapping[str, Choice] = {}
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

    async def choices(self) -> Mapping[str, Choice]:
        """All models and aliases by name, in its order, the retired ones too. Raises as `models`."""
        await self.models()
        return self._choices

    async def find(self, name: str, *, retired: bool = False) -> Choice:
        """What has this name; `x` and `x:latest` are one. Raises UnknownModel, and ModelRetired unless `retired`."""
        choice = (await self.choices()).get(plain_name(name))
        if choice is None:
            raise UnknownModel(name)
        if choice.shown.retired and not retired:
            raise ModelRetired(name)
        return choice

    async def available(self, name: str) -> Model:
        """The model that can be asked now by this name, its own or an alias. Raises UnknownModel, ModelRetired, ModelUnavailable."""
        choice = await self.find(name)
        if choice.model is None or not choice.model.available:
            raise ModelUnavailable(choice.shown.name)
        return choice.model

    async def chatting(self, name: str) -> Model:
        """One that answers questions now. Raises UnknownModel, ModelRetired, ModelUnavailable, CannotChat."""
        model = await self.available(name)
        if not any("chat" in one.capabilities for one in model.served_by):
            raise CannotChat(model.name)
        return model

    async def health(self) -> Sequence[BackendHealth]:
        """What the catalog last saw of each back-end. Raises Unavailable."""
        return await self._models.health()

    async def drop(self, event: ModelEvent, delivery: Delivery) -> None:
        """A model came, changed or went: the next look reads the store."""
        self.forget()

    def forget(self) -> None:
        """The same where nobody knows what changed: events may have been lost."""
        self._read_at = None
        self._drops += 1

    def _stale(self) -> bool:
        return self._read_at is None or time.monotonic() - self._read_at > OLDEST

    async def _read(self) -> None:
        began, drops = time.monotonic(), self._drops
        try:
            models, aliases = await asyncio.gather(self._models.all(), self._models.aliases())
        except Unavailable as error:
            if not self._known:
                raise
            log.warning("models_not_read", why=str(error))
            self._read_at = time.monotonic() - OLDEST + AGAIN
            return
        metrics.EXPLORE.inc()
        self._known = {one.name: one for one in models}
        self._choices = _choices(self._known, aliases)
        self._read_at = began if drops == self._drops else None  # it changed while it was read: once more


def _choices(models: Mapping[str, Model], aliases: Sequence[Alias]) -> Mapping[str, Choice]:
    """An alias leads to a model, in one step; a model of its name hides it."""
    named = {plain_name(one.name): _alias(one, models) for one in aliases}
    named |= {one.name: Choice(one, one) for one in models.values()}
    return {name: named[name] for name in sorted(named)}


def _alias(alias: Alias, models: Mapping[str, Model]) -> Choice:
    name, alias_of = plain_name(alias.name), plain_name(alias.model)
    model = models.get(alias_of)
    if model is None:
        return Choice(Model(name=name, updated_at=alias.updated_at), None, alias_of)
    changed = {"name": name, "updated_at": max(alias.updated_at, model.updated_at)}
    return Choice(model.model_copy(update=changed), model, alias_of)


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


def status_of(model: Model) -> Status:
    """`retired`: nobody may ask it. `unavailable`: no back-end serves it right now."""
    return "retired" if model.retired else "available" if model.available else "unavailable"


def description_of(model: Model) -> str:
    """The administrators' own, else what a back-end tells."""
    return model.description or next((one.description for one in _told(model) if one.description), "")


def license_of(model: Model) -> str | None:
    """The same; None where nobody tells."""
    return model.license or next((one.license for one in _told(model) if one.license), None)


def _told(model: Model) -> Iterator[BackendModel]:
    if model.known is not None:
        yield model.known
    yield from model.served_by
