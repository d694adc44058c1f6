"""The events of a generation's stream, as frozen values. Fields that a newer platform adds are ignored."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, ClassVar, TypeVar

T = TypeVar("T")


@dataclass(frozen=True)
class Usage:
    """Tokens. `spent_output_tokens`: of all attempts, where there was more than one."""

    input_tokens: int = 0
    output_tokens: int = 0
    spent_output_tokens: int | None = None


@dataclass(frozen=True)
class Timings:
    """Milliseconds since the question was accepted; the rate in tokens a second."""

    queue_ms: int = 0
    load_ms: int = 0
    ttft_ms: int = 0
    total_ms: int = 0
    tokens_per_second: float = 0.0


@dataclass(frozen=True)
class _Event:
    event: ClassVar[str]
    id: str | None = field(default=None, kw_only=True)
    """Resume after it; opaque."""


@dataclass(frozen=True)
class Accepted(_Event):
    """The question is durable: it will end in exactly one recorded outcome."""

    event = "accepted"
    generation_id: str
    chat_id: str
    message_id: str
    reply_id: str
    model: str


@dataclass(frozen=True)
class Queued(_Event):
    """The place in the queue, and milliseconds until it is this one's turn, where anybody can tell."""

    event = "queued"
    position: int
    eta_ms: int | None


@dataclass(frozen=True)
class Started(_Event):
    """A worker took the generation."""

    event = "started"
    attempt: int
    model: str
    backend: str


@dataclass(frozen=True)
class Thinking(_Event):
    """A piece of the model's thinking."""

    event = "thinking"
    text: str


@dataclass(frozen=True)
class Token(_Event):
    """A piece of the reply."""

    event = "token"
    text: str


@dataclass(frozen=True)
class ToolCall(_Event):
    """The model calls a tool."""

    event = "tool_call"
    call_id: str
    name: str
    arguments: Mapping[str, Any]


@dataclass(frozen=True)
class Restarted(_Event):
    """Everything shown so far is void; the reply begins again."""

    event = "restarted"
    attempt: int
    reason: str


@dataclass(frozen=True)
class Completed(_Event):
    """The end: the reply is whole."""

    event = "completed"
    finish_reason: str
    usage: Usage
    timings: Timings


@dataclass(frozen=True)
class Cancelled(_Event):
    """The end: somebody stopped it."""

    event = "cancelled"
    usage: Usage


@dataclass(frozen=True)
class Failed(_Event):
    """The end: it could not be answered."""

    event = "failed"
    code: str
    message: str
    retryable: bool


Event = Accepted | Queued | Started | Thinking | Token | ToolCall | Restarted | Completed | Cancelled | Failed
TERMINAL = (Completed, Cancelled, Failed)
_KINDS: dict[str, type[Event]] = {
    one.event: one
    for one in (Accepted, Queued, Started, Thinking, Token, ToolCall, Restarted, Completed, Cancelled, Failed)
}


@dataclass(frozen=True)
class Answer:
    """A whole reply."""

    text: str
    thinking: str
    finish_reason: str
    usage: Usage


def event_of(name: str, data: Mapping[str, Any], event_id: str | None) -> Event | None:
    """The event of a frame; None for a kind that this version does not know."""
    kind = _KINDS.get(name)
    if kind is None:
        return None
    given = dict(data)
    if kind is ToolCall:
        given["call_id"] = given.pop("id")
    for key, part in (("usage", Usage), ("timings", Timings)):
        if key in given:
            given[key] = _known(part, given[key])
    return _known(kind, {**given, "id": event_id})


def _known(kind: type[T], given: Mapping[str, Any]) -> T:
    names = {one.name for one in fields(kind)}  # type: ignore[arg-type]
    return kind(**{name: value for name, value in given.items() if name in names})
