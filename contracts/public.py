"""Events for developers and edges: ids, model, usage, timings, no text."""

from datetime import datetime
from typing import ClassVar

from contracts.events import Outcome, ReplyCancelled, ReplyCompleted
from contracts.generation import Timings, Usage
from contracts.value import Value


class _ReplyEnded(Value):
    generation_id: str
    owner: str
    chat_id: str
    message_id: str
    reply_id: str
    model: str
    usage: Usage
    timings: Timings
    attempt: int
    backend: str | None = None
    ended_at: datetime

    @property
    def subject(self) -> str:
        """What it is about, for CloudEvents."""
        return self.generation_id


class PublicReplyCompleted(_ReplyEnded):
    """A reply was recorded, whole."""

    type: ClassVar[str] = "net.ollamanet.ReplyCompleted.v1"
    finish_reason: str


class PublicReplyFailed(_ReplyEnded):
    """A reply was recorded as failed."""

    type: ClassVar[str] = "net.ollamanet.ReplyFailed.v1"
    code: str
    retryable: bool


class PublicReplyCancelled(_ReplyEnded):
    """A reply was recorded as cancelled."""

    type: ClassVar[str] = "net.ollamanet.ReplyCancelled.v1"


class ModelAvailable(Value):
    """A model can be asked now, or what is known of it changed."""

    type: ClassVar[str] = "net.ollamanet.ModelAvailable.v1"
    name: str
    backends: tuple[str, ...]
    at: datetime

    @property
    def subject(self) -> str:
        """What it is about, for CloudEvents."""
        return self.name


class ModelUnavailable(Value):
    """No back-end serves this model any more."""

    type: ClassVar[str] = "net.ollamanet.ModelUnavailable.v1"
    name: str
    at: datetime

    @property
    def subject(self) -> str:
        """What it is about, for CloudEvents."""
        return self.name


class ChatRenamed(Value):
    """A person gave a chat another title."""

    type: ClassVar[str] = "net.ollamanet.ChatRenamed.v1"
    chat_id: str
    owner: str
    at: datetime

    @property
    def subject(self) -> str:
        """What it is about, for CloudEvents."""
        return self.chat_id


class ChatDeleted(Value):
    """A person deleted a chat."""

    type: ClassVar[str] = "net.ollamanet.ChatDeleted.v1"
    chat_id: str
    owner: str
    at: datetime

    @property
    def subject(self) -> str:
        """What it is about, for CloudEvents."""
        return self.chat_id


class UserSignedUp(Value):
    """An account was made."""

    type: ClassVar[str] = "net.ollamanet.UserSignedUp.v1"
    account_id: str
    role: str
    at: datetime

    @property
    def subject(self) -> str:
        """What it is about, for CloudEvents."""
        return self.account_id


PublicReply = PublicReplyCompleted | PublicReplyFailed | PublicReplyCancelled
PublicEvent = PublicReply | ModelAvailable | ModelUnavailable | ChatRenamed | ChatDeleted | UserSignedUp


def public_of(outcome: Outcome) -> PublicReply:
    """The outcome as developers see it."""
    question = outcome.question
    shared = {
        "generation_id": question.generation_id, "owner": question.owner, "chat_id": question.chat_id,
        "message_id": question.message_id, "reply_id": question.reply_id, "model": question.model,
        "usage": outcome.usage, "timings": outcome.timings, "attempt": outcome.attempt, "backend": outcome.backend,
        "ended_at": outcome.ended_at,
    }  # fmt: skip
    if isinstance(outcome, ReplyCompleted):
        return PublicReplyCompleted.model_validate({**shared, "finish_reason": outcome.finish_reason})
    if isinstance(outcome, ReplyCancelled):
        return PublicReplyCancelled.model_validate(shared)
    return PublicReplyFailed.model_validate({**shared, "code": outcome.code, "retryable": outcome.retryable})
