"""Which queues the inference worker consumes."""

from collections.abc import Sequence

from contracts.commands import LANES, GenerateReply
from contracts.ports.bus import Subscription
from contracts.topology import generate_reply_queue, lane_slots
from workers.inference.handlers import Inference
from workers.inference.settings import InferenceSettings

RETRY_FOR = 300.0
"""Seconds. The handler waits for servers that are down by itself; what is left are errors of ours."""


def subscriptions(inference: Inference, settings: InferenceSettings) -> Sequence[Subscription]:
    """A queue for each lane of the pool. What is in hand waits there for a slot (slots.py says who gets it)."""
    return tuple(
        Subscription(
            queue=generate_reply_queue(settings.pool, lane),
            messages=(GenerateReply,),
            handle=inference.generate_reply,
            concurrency=lane_slots(settings.slots, lane),
            retry_for=RETRY_FOR,
        )
        for lane in LANES
    )
