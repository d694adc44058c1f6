"""What the store keeps of a question and of an outcome: the same records, whichever contract came first; and the way back."""

from contracts.commands import Question
from contracts.events import Outcome, ReplyCancelled, ReplyCompleted, ReplyFailed
from contracts.generation import Timings, Usage
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
        images=question.images,
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


def question_of(reply: Message) -> Question:
    """The question of a recorded reply as far as the reply tells: who, where and which model, but not what was asked, or when."""
    return Question(
        generation_id=reply.generation_id or "",
        owner=reply.owner,
        chat_id=reply.chat_id,
        message_id=reply.parent_id or "",
        reply_id=reply.id,
        content="",
        model=reply.model or "",
        asked_at=reply.created_at,
    )


def outcome_of(reply: Message, question: Question | None = None) -> Outcome:
    """The outcome that this recorded reply came from: `message_of_outcome`, backwards. `question`: the whole one, where it is known."""
    shared = {
        "question": question or question_of(reply), "text": reply.content, "thinking": reply.thinking or "",
        "tool_calls": reply.tool_calls, "usage": reply.usage or Usage(), "timings": reply.timings or Timings(),
        "attempt": reply.attempt or 0, "backend": reply.backend, "last_event_id": reply.last_event_id,
        "ended_at": reply.created_at,
    }  # fmt: skip
    match reply.status:
        case "cancelled":
            return ReplyCancelled.model_validate(shared)
        case "failed":
            error = reply.error or ReplyError(code="internal", message="The reply failed.", retryable=True)
            return ReplyFailed.model_validate({**shared, **error.model_dump()})
        case _:
            return ReplyCompleted.model_validate({**shared, "finish_reason": reply.finish_reason or "stop"})
