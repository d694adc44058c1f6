"""Having a back-end looked at now. An edge calls no back-end: it asks the catalog to, and waits for what that saw."""

import asyncio
from dataclasses import dataclass

from api.backends import this_moment
from api.errors import NobodyLooked
from contracts.commands import RefreshCatalog
from contracts.ports.bus import Bus
from contracts.ports.stores import Models
from contracts.records import BackendHealth

PATIENCE = 15.0
"""Seconds: a look takes 10 at most, and another one may be on its way before it."""
AGAIN = 0.1
"""Seconds between two looks into the store."""


@dataclass(frozen=True)
class Looked:
    """What was seen, and how many models the catalog knows there since."""

    health: BackendHealth
    models: int


@dataclass(frozen=True)
class Looking:
    """What the catalog sees when it is asked to look."""

    models: Models
    bus: Bus

    async def at(self, name: str) -> Looked:
        """Look at this back-end now. Raises NobodyLooked, Unroutable, Overloaded, Unavailable."""
        asked = this_moment()
        await self.bus.publish(RefreshCatalog(backend=name))
        try:
            async with asyncio.timeout(PATIENCE):
                seen = await self._seen(name)
                while seen is None or seen.checked_at < asked:
                    await asyncio.sleep(AGAIN)
                    seen = await self._seen(name)
                serving = [one for one in await self.models.all() for by in one.served_by if by.backend == name]
        except TimeoutError as error:
            raise NobodyLooked(PATIENCE) from error
        return Looked(seen, len(serving))

    async def _seen(self, name: str) -> BackendHealth | None:
        return next((one for one in await self.models.health() if one.name == name), None)
