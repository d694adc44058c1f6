"""Which queue the inference worker consumes."""

from collections.abc import Sequence

from contracts.commands import GenerateReply
from contracts.ports.bus import Subscription
from contracts.topology import generate_reply_queue
from workers.inference.handlers import Inference
from workers.inference.settings import InferenceSettings

RETRY_FOR = 300.0
"""Seconds. The handler waits for servers that are down by itself; what is left are errors of ours."""


def subscriptions(inference: Inference, settings: InferenceSettings) -> Sequence[Subscription]:
    """One queue, as many deliveries as its back-ends have slots."""
    return (
        Subscription(
            queue=generate_reply_queue(settings.pool, "interactive"),
            messages=(GenerateReply,),
            handle=inference.generate_reply,
            concurrency=settings.slots,
            retry_for=RETRY_FOR,
        ),
    )
