"""JSON of generations, and the events of their streams."""

from typing import Annotated, Literal

from pydantic import BaseModel, Field

from api.following import Known
from contracts.generation import Timings, Usage
from contracts.records import Message, ReplyError

Status = Literal["queued", "running", "completed", "failed", "cancelled"]
_OF_MESSAGE: dict[str, Status] = {"complete": "completed", "cancelled": "cancelled", "failed": "failed"}
_OF_STATE: dict[str, Status] = {"admitted": "queued", "accepted": "queued"}
_OF_KIND: dict[str, Status] = {"completed": "completed", "failed": "failed", "cancelled": "cancelled"}


class GenerationBody(BaseModel):
    """One run of a model."""

    id: str
    chat_id: str
    message_id: str | None = None
    reply_id: str | None = None
    status: Status
    model: str
    attempt: Annotated[int, Field(description="0: no worker has taken it yet.")]
    usage: Usage | None = None
    timings: Timings | None = None
    error: ReplyError | None = None

    @classmethod
    def of(cls, known: Known) -> "GenerationBody":
        """What is known of it."""
        if known.message is not None:
            return cls._of_message(known.message)
        question, shown = known.question, known.shown
        assert question is not None
        body = cls(
            id=question.generation_id, chat_id=question.chat_id, message_id=question.message_id,
            reply_id=question.reply_id, status="queued", model=question.model, attempt=shown.attempt if shown else 0,
        )  # fmt: skip
        if shown is None:
            return body
        outcome = shown.outcome if shown.state == "closed" else None
        if outcome is None:
            return body.model_copy(update={"status": _OF_STATE.get(shown.state, "running")})
        error = None
        if outcome.kind == "failed":
            error = ReplyError(code=outcome.code, message=outcome.message, retryable=outcome.retryable)
        ended = {"usage": outcome.usage, "timings": outcome.timings, "error": error, "attempt": outcome.attempt}
        return body.model_copy(update={"status": _OF_KIND[outcome.kind], **ended})

    @classmethod
    def _of_message(cls, message: Message) -> "GenerationBody":
        return cls(
            id=message.generation_id or "",
            chat_id=message.chat_id,
            message_id=message.parent_id,
            reply_id=message.id,
            status=_OF_MESSAGE.get(message.status, "running"),
            model=message.model or "",
            attempt=message.attempt or 0,
            usage=message.usage,
            timings=message.timings,
            error=message.error,
        )


class CancelAccepted(BaseModel):
    """The generation will end as `cancelled`, unless it had ended before: `status` says how it stands now."""

    generation_id: str
    status: Status
