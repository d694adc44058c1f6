"""Which queue the catalog worker consumes."""

from collections.abc import Sequence

from contracts.commands import MODEL_COMMANDS, RefreshCatalog
from contracts.ports.bus import Subscription
from contracts.topology import CATALOG_COMMANDS
from workers.catalog.handlers import Catalog

AT_ONCE = 4
"""Commands taken up side by side: a look at a back-end that hangs takes 10 s, and nobody's command waits for it."""


def subscriptions(catalog: Catalog) -> Sequence[Subscription]:
    """One queue."""
    messages = (RefreshCatalog, *MODEL_COMMANDS)
    return (Subscription(queue=CATALOG_COMMANDS, messages=messages, handle=catalog.handle, concurrency=AT_ONCE),)
