"""What administrators do with the registry of model servers: see, change and remove one; to add one is api/adding.py.

Every change is noted in the audit record before it is made, and told afterwards: to whoever follows the public events, and to
the catalog, which looks at once instead of after its next 5 s.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal
from urllib.parse import urlsplit

import structlog

from api.auditing import Auditing
from api.errors import Mistaken
from api.reaching import Reaching
from api.standing import Standing, standings
from contracts.commands import RefreshCatalog
from contracts.errors import Conflict, NotFound, OllamaNetError, Unavailable
from contracts.ports.administration import BackendReports
from contracts.ports.bus import Bus
from contracts.ports.stores import Backends, Models
from contracts.public import BackendChanged
from contracts.records import RegisteredBackend
from contracts.registering import read_registry

log = structlog.get_logger()

_SECRET = ("api_key", "tls_ca")
"""Of these the audit record says only whether they were set: one is a secret, the other long."""


@dataclass(frozen=True)
class Administered:
    """A back-end of the registry and how it stands."""

    backend: RegisteredBackend
    standing: Standing


@dataclass(frozen=True)
class RegistryPage:
    """Some of the back-ends. `unreadable`: why some of them cannot be shown. `last`: the name that the next page begins behind, if any."""

    items: Sequence[Administered]
    unreadable: Mapping[str, str]
    last: str | None


@dataclass(frozen=True)
class Registry:
    """The back-ends as administrators see and change them. Every call raises Unavailable."""

    backends: Backends
    models: Models
    reports: BackendReports
    bus: Bus
    auditing: Auditing
    reaching: Reaching

    async def page(self, limit: int, after: str) -> RegistryPage:
        """Up to so many by name, those behind `after`."""
        found = await read_registry(self.backends)
        names = sorted(name for name in (*found.sound, *found.unreadable) if name > after)
        known = standings(await self.models.health(), await self.reports.recent())
        shown = names[:limit]
        return RegistryPage(
            [Administered(found.sound[name], known.of(name)) for name in shown if name in found.sound],
            {name: found.unreadable[name] for name in shown if name in found.unreadable},
            shown[-1] if len(names) > limit else None,
        )

    async def find(self, name: str) -> Administered:
        """One of them. Raises NotFound."""
        return await self.standing(await self._kept(name))

    async def standing(self, backend: RegisteredBackend) -> Administered:
        """How this one stands."""
        known = standings(await self.models.health(), await self.reports.recent())
        return Administered(backend, known.of(backend.settings.name))

    async def change(self, name: str, changes: Mapping[str, Any], by: str) -> Administered:
        """Set these fields. Raises NotFound, Conflict (backend_configured, no_secrets_key), Mistaken."""
        before = await self._own(name)
        settings = before.settings.model_copy(update=changes)
        if settings == before.settings:
            return await self.standing(before)
        after = before.model_copy(update={"settings": settings, "updated_at": this_moment()})
        async with self.auditing.noted(by, "ChangeBackend", name, told_of(changes)):
            if settings.url != before.settings.url:
                if (
                    before.settings.api_key
                    and "api_key" not in changes
                    and _server(settings.url) != _server(before.settings.url)
                ):
                    raise Mistaken(
                        "/api_key", "The URL leads to another server: say the key for that one, or null for none."
                    )
                await self.reaching.check(settings.url)
            if not await self.backends.put(after):
                raise _no_backend(name)
        await self.tell(name, "changed")
        return await self.standing(after)

    async def remove(self, name: str, by: str) -> None:
        """Forget it: no worker sends it anything more. Raises NotFound, Conflict("backend_configured")."""
        try:
            await self._own(name)
        except Unavailable:  # it cannot be read any more, which is a reason to remove it
            if name not in await self.backends.names():
                raise
        async with self.auditing.noted(by, "RemoveBackend", name):
            if not await self.backends.remove(name):
                raise _no_backend(name)
        await self.tell(name, "removed")

    async def tell(self, name: str, change: Literal["added", "changed", "removed"]) -> None:
        """It is changed whether or not the bus takes this: the catalog looks by itself, too."""
        log.info(f"backend_{change}", backend=name)
        for message in (BackendChanged(name=name, change=change, at=datetime.now(UTC)), RefreshCatalog(backend=name)):
            try:
                await self.bus.publish(message)
            except OllamaNetError as error:
                log.warning("backend_change_not_told", backend=name, type=message.type, why=str(error))

    async def _own(self, name: str) -> RegisteredBackend:
        """One that may be changed here."""
        backend = await self._kept(name)
        if backend.source == "configuration":
            sentence = "It stands in OLLAMANET_BACKENDS, or is what `ollamanet up --backend` named: change it there."
            raise Conflict("backend_configured", sentence)
        return backend

    async def _kept(self, name: str) -> RegisteredBackend:
        backend = await self.backends.get(name)
        if backend is None:
            raise _no_backend(name)
        return backend


def told_of(fields: Mapping[str, Any]) -> dict[str, object]:
    """Settings as the audit record may hold them."""
    told: dict[str, object] = {name: value for name, value in fields.items() if name not in _SECRET}
    return told | {name: "set" if fields[name] else "removed" for name in _SECRET if name in fields}


def this_moment() -> datetime:
    """Now, as stores keep it: to the millisecond, so that a list says what was answered to the change."""
    now = datetime.now(UTC)
    return now.replace(microsecond=now.microsecond // 1000 * 1000)


def _server(url: str) -> tuple[str, str]:
    """What a key is sent to: not in the clear either what was sent encrypted."""
    parts = urlsplit(url)
    return parts.scheme, parts.netloc.lower()


def _no_backend(name: str) -> NotFound:
    return NotFound(f"There is no back-end named {name[:100]!r}.")
