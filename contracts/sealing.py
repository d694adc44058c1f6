"""Ending a generation that no worker is to end any more, over any streams: read what it shows, seal that, until both agree."""

from typing import Literal

from contracts.errors import Transient
from contracts.events import Outcome, ReplyCancelled
from contracts.ports.streams import Answer, GenerationStreams, Sealed, Snapshot

TRIES = 100
"""Each fails only when somebody wrote between reading and sealing."""

Ended = Literal[Answer.CLOSED, Answer.ABORTED, Answer.NOLOG]


async def sealed_unrun(streams: GenerationStreams, outcome: Outcome) -> Outcome | Ended:
    """Seal with this outcome, whose text becomes what followers have seen; a cancel that came first wins.

    Gives the outcome that stands, an earlier one where there is one: publish it. CLOSED | ABORTED: there is nothing to publish.
    NOLOG: whether it is recorded only the store knows. May be repeated at will. Raises Transient while a worker writes on.
    """
    generation_id = outcome.question.generation_id
    for _ in range(TRIES):
        (now,) = await streams.read([generation_id])
        seals = outcome if now is None else with_text_of(now, outcome)
        answer = await streams.seal(generation_id, None, 0 if now is None else now.next, seals)
        match answer:
            case Sealed():
                return answer.outcome
            case Answer.OK:
                return seals
            case Answer.CLOSED | Answer.ABORTED | Answer.NOLOG:
                return answer
            case _:  # it moved on, or was cancelled, since it was read
                continue
    raise Transient("The generation is still being written.")


def with_text_of(now: Snapshot, outcome: Outcome) -> Outcome:
    """The outcome with the text that followers have seen; a cancel that came first wins."""
    changes = {
        "text": now.text,
        "thinking": now.thinking,
        "tool_calls": now.tool_calls,
        "backend": now.backend,
        "attempt": now.attempt,
    }
    whole = outcome.model_copy(update=changes)
    return cancelled_instead(whole) if now.cancel else whole


def cancelled_instead(outcome: Outcome) -> ReplyCancelled:
    """The same reply, ended by a cancel that came before its own end was sealed."""
    return ReplyCancelled.model_validate(outcome.model_dump(exclude={"kind", "finish_reason", "code", "message"}))
