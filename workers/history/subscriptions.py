"""Which queue the history worker consumes."""

from collections.abc import Sequence

from contracts.events import QuestionAsked, ReplyCancelled, ReplyCompleted, ReplyFailed
from contracts.ports.bus import Subscription
from contracts.topology import HISTORY
from workers.history.batching import MOST
from workers.history.handlers import Recorder

RETRY_FOR = 24 * 3600.0
"""Seconds: an outcome waits out a store that is down; dead-lettered, the question would look open."""


def subscriptions(recorder: Recorder) -> Sequence[Subscription]:
    """One queue, as many deliveries as go into one write."""
    return (
        Subscription(
            queue=HISTORY,
            messages=(QuestionAsked, ReplyCompleted, ReplyFailed, ReplyCancelled),
            handle=recorder.record,
            concurrency=MOST,
            retry_for=RETRY_FOR,
        ),
    )
