"""Which queue the catalog worker consumes."""

from collections.abc import Sequence

from contracts.commands import RefreshCatalog
from contracts.ports.bus import Subscription
from contracts.topology import CATALOG_COMMANDS
from workers.catalog.handlers import Catalog


def subscriptions(catalog: Catalog) -> Sequence[Subscription]:
    """One queue, one command at a time."""
    return (Subscription(queue=CATALOG_COMMANDS, messages=(RefreshCatalog,), handle=catalog.refresh_catalog),)
