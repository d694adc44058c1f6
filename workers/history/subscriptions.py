"""Which queues the history worker consumes."""

from collections.abc import Sequence

from contracts.events import QuestionAsked, ReplyCancelled, ReplyCompleted, ReplyFailed
from contracts.ports.bus import DeadSubscription, Subscription
from contracts.topology import DEAD, HISTORY
from workers.history.batching import MOST
from workers.history.handlers import Recorder
from workers.history.settling import Settling

RETRY_FOR = 24 * 3600.0
"""Seconds: an outcome waits out a store that is down; dead-lettered, the question would look open."""
LETTERS = 50
"""Dead letters at once; one may wait until a worker lets go of its generation."""


def subscriptions(recorder: Recorder, settling: Settling) -> Sequence[Subscription | DeadSubscription]:
    """Outcomes, as many deliveries as go into one write; and dead letters."""
    return (
        Subscription(
            queue=HISTORY,
            messages=(QuestionAsked, ReplyCompleted, ReplyFailed, ReplyCancelled),
            handle=recorder.record,
            concurrency=MOST,
            retry_for=RETRY_FOR,
        ),
        DeadSubscription(queue=DEAD, handle=settling.settle, concurrency=LETTERS, retry_for=RETRY_FOR),
    )
