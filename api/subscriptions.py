"""Which events an edge hears, each its own copy."""

from collections.abc import Sequence

from api.explore import Explore
from contracts.ports.bus import Subscription
from contracts.public import ModelAvailable, ModelUnavailable
from contracts.topology import edge_queue


def subscriptions(explore: Explore, process: str) -> Sequence[Subscription]:
    """`process` names this edge: no other may use that name at the same time."""
    return (Subscription(queue=edge_queue(process), messages=(ModelAvailable, ModelUnavailable), handle=explore.drop),)
