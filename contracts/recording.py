"""What the store keeps of a question and of an outcome: the same records, whichever contract came first."""

from contracts.commands import Question
from contracts.events import Outcome, ReplyCompleted, ReplyFailed
from contracts.records import Chat, Message, MessageStatus, ReplyError

TITLE_CHARACTERS = 60
_STATUS: dict[str, MessageStatus] = {"completed": "complete", "failed": "failed", "cancelled": "cancelled"}


def title_of(content: str) -> str:
    """The first line of a chat's first question that says something, cut to 60 characters."""
    line = next((one.strip() for one in content.splitlines() if one.strip()), "")
    return line if len(line) <= TITLE_CHARACTERS else line[: TITLE_CHARACTERS - 1].rstrip() + "…"


def chat_of(question: Question) -> Chat:
    """The chat that a first question begins."""
    return Chat(
        id=question.chat_id,
        owner=question.owner,
        title=title_of(question.content),
        model=question.model,
        created_at=question.asked_at,
        updated_at=question.asked_at,
    )


def message_of_question(question: Question) -> Message:
    """The user's message."""
    return Message(
        id=question.message_id,
        chat_id=question.chat_id,
        owner=question.owner,
        parent_id=question.parent_id,
        role="user",
        content=question.content,
        system=question.system,
        model=question.model,
        created_at=question.asked_at,
    )


def message_of_outcome(outcome: Outcome) -> Message:
    """The reply, as far as it came."""
    question = outcome.question
    error = None
    if isinstance(outcome, ReplyFailed):
        error = ReplyError(code=outcome.code, message=outcome.message, retryable=outcome.retryable)
    return Message(
        id=question.reply_id,
        chat_id=question.chat_id,
        owner=question.owner,
        parent_id=question.message_id,
        role="assistant",
        content=outcome.text,
        thinking=outcome.thinking or None,
        tool_calls=outcome.tool_calls,
        model=question.model,
        generation_id=question.generation_id,
        status=_STATUS[outcome.kind],
        finish_reason=outcome.finish_reason if isinstance(outcome, ReplyCompleted) else None,
        usage=outcome.usage,
        timings=outcome.timings,
        error=error,
        attempt=outcome.attempt,
        backend=outcome.backend,
        last_event_id=outcome.last_event_id,
        created_at=outcome.ended_at,
    )
