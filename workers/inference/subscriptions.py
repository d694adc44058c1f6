"""Which queues the inference worker consumes."""

from collections.abc import Sequence

from contracts.commands import LANES, EmbedTexts, GenerateReply
from contracts.ports.bus import Subscription
from contracts.topology import embed_texts_queue, generate_reply_queue, lane_slots
from workers.inference.handlers import Inference

RETRY_FOR = 300.0
"""Seconds. The handler waits for servers that are down by itself; what is left are errors of ours."""


RETRY_EMBEDDING_FOR = 20.0
"""Seconds: an error of ours is told while somebody still waits, by way of the dead letters."""


def subscriptions(inference: Inference, pool: str, slots: int, *, taken: int = 0) -> Sequence[Subscription]:
    """A queue for each lane of the pool, and one of texts to embed, which never hold more slots than `bulk` questions.

    What is in hand waits there for a slot (slots.py says who gets it). taken: for so many of the slots there are
    subscriptions already; these are for the others.
    """
    questions = tuple(
        Subscription(
            queue=generate_reply_queue(pool, lane),
            messages=(GenerateReply,),
            handle=inference.generate_reply,
            concurrency=lane_slots(slots, lane) - lane_slots(taken, lane),
            retry_for=RETRY_FOR,
        )
        for lane in LANES
    )
    texts = Subscription(
        queue=embed_texts_queue(pool),
        messages=(EmbedTexts,),
        handle=inference.embed_texts,
        concurrency=lane_slots(slots, "bulk") - lane_slots(taken, "bulk"),
        retry_for=RETRY_EMBEDDING_FOR,
    )
    return tuple(one for one in (*questions, texts) if one.concurrency > 0)
