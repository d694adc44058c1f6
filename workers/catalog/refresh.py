"""What back-ends say they have, merged with what the catalog knew. No ports here but the back-ends' own."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Container, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TypeVar

from contracts.errors import BackendFailed
from contracts.ports.backend import Backend
from contracts.records import BackendHealth, BackendModel, BackendSettings, Model

T = TypeVar("T")

BELIEVED = timedelta(seconds=60)
"""A back-end that fails once is believed to have what it had, unless that was seen longer ago than this."""


@dataclass(frozen=True)
class Look:
    """One look at one back-end. `models` None: it did not tell, and what it had still counts."""

    health: BackendHealth
    models: tuple[BackendModel, ...] | None


def canonical(name: str) -> str:
    """`x` and `x:latest` are one model, shown as `x`."""
    return name.removesuffix(":latest")


async def look(
    backend: Backend, before: BackendHealth | None, now: datetime, stopped: Container[str] = frozenset()
) -> Look:
    """Ask one back-end. Its first failure keeps its models, the second says that they are gone.

    stopped: back-ends that workers have stopped asking, for their calls fail, whatever they tell us.
    """
    settings = backend.settings
    health = BackendHealth(name=settings.name, kind=settings.kind, pool=settings.pool, healthy=True, checked_at=now)
    asked_at = time.monotonic()
    listed, loaded, version = await asyncio.gather(_told(backend.models), _told(backend.loaded), _version(backend))
    seen = {"latency_ms": round((time.monotonic() - asked_at) * 1000), "version": version}
    if isinstance(listed, BackendFailed):
        was_well = before is not None and before.healthy and now - before.checked_at < BELIEVED
        failed = health.model_copy(update={"healthy": False, "error": str(listed), "version": version})
        return Look(failed, None if was_well else ())
    health = health.model_copy(update=seen)
    if settings.name in stopped:
        sentence = f"{settings.name} lists its models, but its calls fail: workers let it rest for a while."
        return Look(health.model_copy(update={"healthy": False, "error": sentence}), ())
    if not isinstance(loaded, BackendFailed):  # else it is none the worse for it
        health = health.model_copy(update={"loaded": tuple(loaded)})
    found = {canonical(one.name): one for one in reversed(listed)}
    return Look(health, tuple(_own(one, name, settings) for name, one in found.items()))


def _own(model: BackendModel, name: str, settings: BackendSettings) -> BackendModel:
    """Under its canonical name, as that back-end's; mostly it is so already."""
    if (model.name, model.backend, model.pool) == (name, settings.name, settings.pool):
        return model
    return model.model_copy(update={"name": name, "backend": settings.name, "pool": settings.pool})


async def _version(backend: Backend) -> str | None:
    try:
        return None if backend.management is None else await backend.management.version()
    except BackendFailed:
        return None


async def _told(ask: Callable[[], Awaitable[Sequence[T]]]) -> Sequence[T] | BackendFailed:
    try:
        return await ask()
    except BackendFailed as error:
        return error


async def look_at(
    backends: Iterable[Backend], before: Sequence[BackendHealth], now: datetime, stopped: Container[str] = frozenset()
) -> Sequence[Look]:
    """Ask all of these at once."""
    known = {one.name: one for one in before}
    return await asyncio.gather(*(look(one, known.get(one.settings.name), now, stopped) for one in backends))


def changed(known: Sequence[Model], looks: Sequence[Look], configured: Iterable[str], now: datetime) -> Sequence[Model]:
    """The models whose record is another one after these looks; those that nobody serves any more keep what was known.

    configured: the names of all back-ends there are; what others served is gone.
    """
    answered = {one.health.name for one in looks if one.models is not None}
    kept = set(configured) - answered
    found: dict[str, list[BackendModel]] = {}
    for one in (model for seen in looks for model in seen.models or ()):
        found.setdefault(one.name, []).append(one)
    records = {one.name: one for one in known}
    results: list[Model] = []
    for name in sorted(records.keys() | found.keys()):
        before = records.get(name)
        stays = [one for one in before.served_by if one.backend in kept] if before else []
        after = _record(name, before, [*stays, *found.get(name, ())], now)
        if before is None or before.served_by != after.served_by:
            results.append(after)
    return results


def _record(name: str, before: Model | None, serving: Sequence[BackendModel], now: datetime) -> Model:
    served_by = tuple(sorted(serving, key=lambda one: one.backend))
    known = served_by[0] if served_by else before.known if before else None
    if before is None:
        return Model(name=name, served_by=served_by, known=known, updated_at=now)
    return before.model_copy(update={"served_by": served_by, "known": known, "updated_at": now})
