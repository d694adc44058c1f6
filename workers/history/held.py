"""The outcome as the store holds it: the first one of a reply, whichever came now."""

from contracts.commands import Question
from contracts.events import Outcome, ReplyCancelled, ReplyCompleted, ReplyFailed
from contracts.generation import Timings, Usage
from contracts.records import Message, ReplyError


def outcome_held(message: Message, question: Question) -> Outcome:
    """The outcome that this recorded reply came from."""
    shared = {
        "question": question, "text": message.content, "thinking": message.thinking or "",
        "tool_calls": message.tool_calls, "usage": message.usage or Usage(), "timings": message.timings or Timings(),
        "attempt": message.attempt or 0, "backend": message.backend, "last_event_id": message.last_event_id,
        "ended_at": message.created_at,
    }  # fmt: skip
    match message.status:
        case "cancelled":
            return ReplyCancelled.model_validate(shared)
        case "failed":
            error = message.error or ReplyError(code="internal", message="The reply failed.", retryable=True)
            return ReplyFailed.model_validate({**shared, **error.model_dump()})
        case _:
            return ReplyCompleted.model_validate({**shared, "finish_reason": message.finish_reason or "stop"})
