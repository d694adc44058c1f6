"""Which queues the inference worker consumes."""

from collections.abc import Mapping, Sequence

from contracts.commands import GenerateReply, Lane
from contracts.ports.bus import Subscription
from contracts.topology import generate_reply_queue
from workers.inference.handlers import Inference
from workers.inference.settings import InferenceSettings

RETRY_FOR = 300.0
"""Seconds. The handler waits for servers that are down by itself; what is left are errors of ours."""
SHARE: Mapping[Lane, int] = {"interactive": 1, "bulk": 2, "batch": 4}
"""A lane has as many deliveries in hand as the back-ends have slots, divided by this (rounded up): no flood of a lane that can
wait holds every slot, and whoever asks one question finds one that ends soon."""


def subscriptions(inference: Inference, settings: InferenceSettings) -> Sequence[Subscription]:
    """A queue for each lane of the pool. What is in hand waits there for a slot (slots.py says who gets it)."""
    return tuple(
        Subscription(
            queue=generate_reply_queue(settings.pool, lane),
            messages=(GenerateReply,),
            handle=inference.generate_reply,
            concurrency=-(-settings.slots // share),
            retry_for=RETRY_FOR,
        )
        for lane, share in SHARE.items()
    )
