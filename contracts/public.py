"""Events for developers and edges: ids, model, usage, timings, no text."""

from datetime import datetime
from typing import ClassVar, Literal, get_args

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


class _ModelChanged(Value):
    name: str
    at: datetime

    @property
    def subject(self) -> str:
        """What it is about, for CloudEvents."""
        return self.name


class ModelTagged(_ModelChanged):
    """An administrator set a model's tags."""

    type: ClassVar[str] = "net.ollamanet.ModelTagged.v1"
    tags: tuple[str, ...]


class ModelDescribed(_ModelChanged):
    """An administrator changed what a model's card says."""

    type: ClassVar[str] = "net.ollamanet.ModelDescribed.v1"


class ModelAliased(_ModelChanged):
    """An alias names this model from now on, or (`removed`) nothing any more."""

    type: ClassVar[str] = "net.ollamanet.ModelAliased.v1"
    alias: str
    removed: bool = False


class ModelVerified(_ModelChanged):
    """Somebody found out whether a model really works on a back-end."""

    type: ClassVar[str] = "net.ollamanet.ModelVerified.v1"
    backend: str
    works: bool


class ModelRetired(_ModelChanged):
    """A model was taken out of Explore, or (`retired` False) brought back."""

    type: ClassVar[str] = "net.ollamanet.ModelRetired.v1"
    retired: bool = True


class ModelDeleted(_ModelChanged):
    """A model was deleted by an administrator's command."""

    type: ClassVar[str] = "net.ollamanet.ModelDeleted.v1"


class BackendChanged(Value):
    """A back-end was added, changed or removed."""

    type: ClassVar[str] = "net.ollamanet.BackendChanged.v1"
    name: str
    change: Literal["added", "changed", "removed"]
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
ModelEvent = (
    ModelAvailable
    | ModelUnavailable
    | ModelTagged
    | ModelDescribed
    | ModelAliased
    | ModelVerified
    | ModelRetired
    | ModelDeleted
)
MODEL_EVENTS: tuple[type[ModelEvent], ...] = get_args(ModelEvent)
PublicEvent = PublicReply | ModelEvent | BackendChanged | ChatRenamed | ChatDeleted | UserSignedUp


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
