"""Which events an edge hears, each its own copy."""

from collections.abc import Sequence

from api.explore import Explore
from contracts.ports.bus import Subscription
from contracts.public import MODEL_EVENTS
from contracts.topology import edge_queue


def subscriptions(explore: Explore, process: str) -> Sequence[Subscription]:
    """`process` names this edge: no other may use that name at the same time."""
    models = Subscription(edge_queue(process), MODEL_EVENTS, explore.drop, resumed=explore.forget)
    return (models,)
