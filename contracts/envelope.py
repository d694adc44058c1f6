"""CloudEvents 1.0 attributes around a message, as AMQP headers (binary mode, prefix `cloudEvents_`)."""

from collections.abc import Generator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime

from opentelemetry import propagate

from contracts.commands import MODEL_COMMANDS, EmbedTexts, GenerateReply, ModelCommand, RefreshCatalog
from contracts.errors import ContractViolated
from contracts.events import QuestionAsked, ReplyCancelled, ReplyCompleted, ReplyFailed
from contracts.ids import event_id, new_id
from contracts.public import (
    MODEL_EVENTS,
    BackendChanged,
    ChatDeleted,
    ChatRenamed,
    ModelEvent,
    PublicReplyCancelled,
    PublicReplyCompleted,
    PublicReplyFailed,
    UserSignedUp,
)
from contracts.value import Value

CONTENT_TYPE = "application/json"
PREFIX = "cloudEvents_"
MOST_ATTRIBUTES, MOST_NAME, MOST_VALUE = 50, 200, 4000
"""Ours are ten short ones; a dead letter may come with anything."""

Message = (
    GenerateReply
    | EmbedTexts
    | RefreshCatalog
    | ModelCommand
    | QuestionAsked
    | ReplyCompleted
    | ReplyFailed
    | ReplyCancelled
    | PublicReplyCompleted
    | PublicReplyFailed
    | PublicReplyCancelled
    | ModelEvent
    | BackendChanged
    | ChatRenamed
    | ChatDeleted
    | UserSignedUp
)
"""Everything that may be published."""

MESSAGES: dict[str, type[Message]] = {
    message.type: message
    for message in (
        GenerateReply, EmbedTexts, RefreshCatalog, *MODEL_COMMANDS, QuestionAsked, ReplyCompleted, ReplyFailed, ReplyCancelled,
        PublicReplyCompleted, PublicReplyFailed, PublicReplyCancelled, *MODEL_EVENTS, BackendChanged, ChatRenamed, ChatDeleted, UserSignedUp,
    )
}  # fmt: skip


class Envelope(Value):
    """CloudEvents attributes of one message. `correlationid` is shared by all that one request caused."""

    specversion: str = "1.0"
    id: str
    source: str
    type: str
    time: datetime
    subject: str
    traceparent: str | None = None
    correlationid: str
    causationid: str | None = None


_handled: ContextVar[Envelope | None] = ContextVar("handled_envelope", default=None)


def wrap(message: Message, source: str) -> Envelope:
    """The envelope of a message published now: caused by the message that is being handled here, if one is."""
    cause = _handled.get()
    carrier: dict[str, str] = {}
    propagate.inject(carrier)
    at = getattr(message, "at", None)  # a fact that can happen again about one subject says when it did
    subject = message.subject
    own_id = (
        new_id()
        if message.type == RefreshCatalog.type
        else event_id(f"{subject}@{at}" if at else subject, message.type)
    )
    return Envelope(
        id=own_id,
        source=source,
        type=message.type,
        time=datetime.now(UTC),
        subject=subject,
        traceparent=carrier.get("traceparent") or (cause.traceparent if cause else None),
        correlationid=cause.correlationid if cause else own_id,
        causationid=cause.id if cause else None,
    )


@contextmanager
def handling(envelope: Envelope) -> Generator[None, None, None]:
    """What is published inside is caused by this message."""
    token = _handled.set(envelope)
    try:
        yield
    finally:
        _handled.reset(token)


def to_headers(envelope: Envelope) -> dict[str, str]:
    """The envelope as AMQP application properties."""
    attributes = envelope.model_dump(mode="json", exclude_none=True)
    return {PREFIX + name: str(value) for name, value in attributes.items()}


def from_headers(headers: Mapping[str, object]) -> Envelope:
    """The envelope of these headers; ContractViolated when an attribute is missing."""
    return envelope_of(attributes_of(headers))


def attributes_of(named: Mapping[str, object], prefix: str = PREFIX) -> dict[str, str]:
    """The attributes among these headers, whatever they hold, as text without their prefix.

    At most 50, names of at most 200 and values of at most 4,000 characters: further ones are left out, longer texts cut.
    """
    own = [(name.removeprefix(prefix), value) for name, value in named.items() if name.startswith(prefix)]
    return {name[:MOST_NAME]: _text(value)[:MOST_VALUE] for name, value in own[:MOST_ATTRIBUTES] if value is not None}


def envelope_of(attributes: Mapping[str, str]) -> Envelope:
    """The envelope of these attributes; ContractViolated when one is missing."""
    try:
        return Envelope.model_validate(attributes)
    except ValueError as error:
        raise ContractViolated("A message came without valid CloudEvents attributes.") from error


def parse(envelope: Envelope, body: bytes) -> Message:
    """The message of this body; ContractViolated when its type is unknown or its shape is not its contract's."""
    kind = MESSAGES.get(envelope.type)
    if kind is None:
        raise ContractViolated(f"Nobody here knows messages of type {envelope.type}.")
    try:
        return kind.model_validate_json(body)
    except ValueError as error:
        raise ContractViolated(f"A body is not a valid {envelope.type}.") from error


def _text(value: object) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
