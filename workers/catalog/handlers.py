"""What the catalog worker does: it keeps the list of models, and carries out what administrators order."""

import asyncio
from collections.abc import Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from contracts.commands import ModelCommand, RefreshCatalog
from contracts.concluding import Concluding
from contracts.ports.administration import Audit, BackendReports, CommandLogs, Commands, Steps
from contracts.ports.backend import BackendRoster
from contracts.ports.bus import Bus, Delivery
from contracts.ports.management import Downloads, Registries
from contracts.ports.stores import Leases, Models, Probes
from workers.catalog.changing import Changing
from workers.catalog.creating import Creating
from workers.catalog.deleting import Deleting
from workers.catalog.ordering import Ordering, sweeping
from workers.catalog.pulling import Pulling
from workers.catalog.refreshing import EVERY, Refreshing
from workers.catalog.settling import Settling
from workers.catalog.stepping import LEASE, Performer, Stepping
from workers.catalog.verifying import Verifying

SWEPT_EVERY = 5.0


@dataclass(frozen=True)
class CatalogPorts:
    """What a catalog worker needs of the world."""

    bus: Bus
    models: Models
    leases: Leases
    commands: Commands
    steps: Steps
    audit: Audit
    logs: CommandLogs
    reports: BackendReports
    probes: Probes
    registries: Registries
    downloads: Downloads


class Catalog:
    """Works while inside. `holder` names this process: no other may ever use that name. `every`: seconds between looks at back-ends.

    What runs when it is left is handed over: another worker goes on from there.
    """

    def __init__(
        self, ports: CatalogPorts, roster: BackendRoster, holder: str, *, every: float = EVERY, lease: float = LEASE
    ) -> None:
        concluding = Concluding(ports.commands, ports.logs, ports.audit)
        settling = Settling(ports.models, ports.bus, concluding)
        self.refreshing = Refreshing(ports.bus, ports.models, ports.leases, roster, ports.reports, holder, every=every)
        performers = _performers(ports, roster, self.refreshing, settling)
        self._stepping = Stepping(ports.commands, ports.steps, ports.logs, settling, performers, holder, lease=lease)
        self._ordering = Ordering(
            ports.commands, ports.steps, ports.models, roster, concluding, settling, self._stepping.wake
        )
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(self.refreshing)
            await stack.enter_async_context(self._stepping)
            sweeping_on = asyncio.create_task(sweeping(self._ordering, SWEPT_EVERY), name="command sweep")
            stack.push_async_callback(_ended, sweeping_on)
            self._stack = stack.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stack.aclose()

    async def handle(self, command: RefreshCatalog | ModelCommand, delivery: Delivery) -> None:
        """A command is in the store when this returns: what it takes then does not hold its delivery."""
        if isinstance(command, RefreshCatalog):
            await self.refreshing.refresh_catalog(command, delivery)
        else:
            await self._ordering.order(command, delivery)


def _performers(
    ports: CatalogPorts, roster: BackendRoster, refreshing: Refreshing, settling: Settling
) -> Mapping[str, Performer]:
    """What each kind of command does to one target."""
    ready = refreshing.ready
    deleting = Deleting(ports.models, ports.commands, ports.steps, settling, ports.reports, ports.bus, roster, ready)
    changing = Changing(ports.models, ports.bus, roster, ready)
    return {
        "PullModel": Pulling(roster, ready).pull,
        "CreateModel": Creating(roster, ports.downloads, ready).create,
        "CopyModel": changing.copy,
        "TagModel": changing.tag,
        "DescribeModel": changing.describe,
        "AliasModel": changing.alias,
        "RetireModel": changing.retire,
        "VerifyModel": Verifying(roster, ports.models, ports.registries, ports.probes).verify,
        "DeleteModel": deleting.delete,
    }


async def _ended(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
