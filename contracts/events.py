"""Facts for whoever cares. Outcomes carry the whole question and text and stay inside; `contracts.public` has what developers get."""

from datetime import datetime
from typing import ClassVar, Literal

from contracts.commands import Question
from contracts.generation import Accepted, Cancelled, Completed, Failed, TerminalEvent, Timings, ToolCallData, Usage
from contracts.value import Value


class QuestionAsked(Value):
    """A question was accepted."""

    type: ClassVar[str] = "net.ollamanet.internal.QuestionAsked.v1"
    question: Question

    @property
    def subject(self) -> str:
        """What it is about, for CloudEvents."""
        return self.question.generation_id


class Reply(Value):
    """What every outcome holds: the question, and the reply as far as it came."""

    question: Question
    text: str = ""
    thinking: str = ""
    tool_calls: tuple[ToolCallData, ...] = ()
    usage: Usage = Usage()
    timings: Timings = Timings()
    attempt: int = 0
    """0: no worker ever took it."""
    backend: str | None = None
    last_event_id: str | None = None
    ended_at: datetime

    @property
    def subject(self) -> str:
        """What it is about, for CloudEvents."""
        return self.question.generation_id


class ReplyCompleted(Reply):
    """The reply is whole."""

    type: ClassVar[str] = "net.ollamanet.internal.ReplyCompleted.v1"
    kind: Literal["completed"] = "completed"
    finish_reason: str = "stop"


class ReplyFailed(Reply):
    """The question could not be answered."""

    type: ClassVar[str] = "net.ollamanet.internal.ReplyFailed.v1"
    kind: Literal["failed"] = "failed"
    code: str
    message: str
    retryable: bool = False


class ReplyCancelled(Reply):
    """Somebody stopped it."""

    type: ClassVar[str] = "net.ollamanet.internal.ReplyCancelled.v1"
    kind: Literal["cancelled"] = "cancelled"


Outcome = ReplyCompleted | ReplyFailed | ReplyCancelled


def accepted(question: Question) -> Accepted:
    """The first event of every log."""
    return Accepted(
        generation_id=question.generation_id,
        chat_id=question.chat_id,
        message_id=question.message_id,
        reply_id=question.reply_id,
        model=question.model,
    )


def terminal_event(outcome: Outcome) -> TerminalEvent:
    """The last event that followers see of this outcome."""
    match outcome:
        case ReplyCompleted():
            return Completed(finish_reason=outcome.finish_reason, usage=outcome.usage, timings=outcome.timings)
        case ReplyCancelled():
            return Cancelled(usage=outcome.usage)
        case ReplyFailed():
            return Failed(code=outcome.code, message=outcome.message, retryable=outcome.retryable)


def decode_outcome(encoded: bytes | str) -> Outcome:
    """The outcome of this JSON; its `kind` says which it is."""
    kinds: dict[str, type[Outcome]] = {
        "completed": ReplyCompleted, "failed": ReplyFailed, "cancelled": ReplyCancelled,
    }  # fmt: skip
    return kinds[_Kind.model_validate_json(encoded).kind].model_validate_json(encoded)


class _Kind(Value):
    kind: str
