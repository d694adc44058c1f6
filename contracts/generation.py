"""The events of a generation's stream, their one encoding, and how that encoding is framed for SSE.

An event is encoded once, by its writer, as `{"event":"<name>","data":{…}}` with exactly that key order and no blanks
outside the data. So native SSE can cut name and data out of the bytes without parsing them (`frame`).
Line separators that some clients split on (U+2028, U+2029, U+0085) are escaped.
"""

from typing import Annotated, ClassVar, Literal

import orjson
from pydantic import Field

from contracts.value import Value

FAILURE_CODES = (
    "backend_unreachable", "backend_error", "backend_cut", "backend_garbage", "first_token_timeout", "token_timeout",
    "generation_timeout", "expired", "quarantined", "context_too_long", "unknown_model", "log_lost", "internal",
    "image_missing", "option_unsupported",
)  # fmt: skip
TERMINAL = ("completed", "cancelled", "failed")
MAX_TEXT_BYTES = 1024 * 1024
"""Text of one generation; at this size the writer ends it with `finish_reason: "length"`."""


class Usage(Value):
    """Tokens counted by the back-end: the input once, the output of the text that stands.

    `spent_output_tokens`: what all attempts wrote, that text included; None where there was one attempt.
    """

    input_tokens: int = 0
    output_tokens: int = 0
    spent_output_tokens: int | None = Field(default=None, exclude_if=lambda spent: spent is None)


class Timings(Value):
    """Milliseconds from the edge's acceptance (queue), in the back-end (load), to the first token and in all."""

    queue_ms: int = 0
    load_ms: int = 0
    ttft_ms: int = 0
    total_ms: int = 0
    tokens_per_second: float = 0.0


class ToolCallData(Value):
    """A call that the model asks for; `arguments` is a JSON object."""

    id: str
    name: str
    arguments: dict[str, object] = Field(default_factory=dict)


class Accepted(Value):
    """The question is durable: it will end in exactly one recorded outcome."""

    event: ClassVar[Literal["accepted"]] = "accepted"
    generation_id: str
    chat_id: str
    message_id: str
    reply_id: str
    model: str


class Queued(Value):
    """The place in the queue; made by the edge, without an id, never in the log."""

    event: ClassVar[Literal["queued"]] = "queued"
    position: int
    eta_ms: int | None


class Started(Value):
    """A worker took the generation."""

    event: ClassVar[Literal["started"]] = "started"
    attempt: int
    model: str
    backend: str


class Thinking(Value):
    """A piece of the model's thinking."""

    event: ClassVar[Literal["thinking"]] = "thinking"
    text: str


class Token(Value):
    """A piece of the reply: one or more tokens."""

    event: ClassVar[Literal["token"]] = "token"
    text: str


class ToolCall(ToolCallData):
    """The model calls a tool."""

    event: ClassVar[Literal["tool_call"]] = "tool_call"


class Restarted(Value):
    """Everything shown so far is void; the reply begins again."""

    event: ClassVar[Literal["restarted"]] = "restarted"
    attempt: int
    reason: Literal["worker_lost", "backend_lost", "log_lost"]


class Completed(Value):
    """The end: the reply is whole."""

    event: ClassVar[Literal["completed"]] = "completed"
    finish_reason: str
    usage: Usage
    timings: Timings


class Cancelled(Value):
    """The end: somebody stopped it."""

    event: ClassVar[Literal["cancelled"]] = "cancelled"
    usage: Usage


class Failed(Value):
    """The end: it could not be answered."""

    event: ClassVar[Literal["failed"]] = "failed"
    code: str
    message: str
    retryable: bool


GenerationEvent = Accepted | Queued | Started | Thinking | Token | ToolCall | Restarted | Completed | Cancelled | Failed
TerminalEvent = Completed | Cancelled | Failed
AttemptNumber = Annotated[int, Field(ge=1)]

_KINDS: dict[str, type[GenerationEvent]] = {
    kind.event: kind
    for kind in (Accepted, Queued, Started, Thinking, Token, ToolCall, Restarted, Completed, Cancelled, Failed)
}
_HEAD = b'{"event":"'
_MIDDLE = b'","data":'


def encode(event: GenerationEvent) -> bytes:
    """The one encoding of an event, as it stands in the log."""
    return encode_named(event.event, orjson.dumps(event.model_dump(mode="json")))


def encode_text(name: Literal["token", "thinking"], text: str) -> bytes:
    """`encode` of Token or Thinking without building the model: the hot path."""
    return encode_named(name, orjson.dumps({"text": text}))


def encode_named(name: str, data: bytes) -> bytes:
    """An event of that name whose data is this JSON object."""
    if b"\xe2\x80" in data or b"\xc2\x85" in data:
        data = (
            data.replace(b"\xe2\x80\xa8", b"\\u2028")
            .replace(b"\xe2\x80\xa9", b"\\u2029")
            .replace(b"\xc2\x85", b"\\u0085")
        )
    return b"".join((_HEAD, name.encode(), _MIDDLE, data, b"}"))


def name_of(encoded: bytes) -> str:
    """The event's name, without parsing its data."""
    return encoded[len(_HEAD) : encoded.index(b'"', len(_HEAD))].decode()


def is_terminal(encoded: bytes) -> bool:
    """Whether the event ends its generation."""
    return name_of(encoded) in TERMINAL


def decode(encoded: bytes) -> GenerationEvent:
    """The event of these bytes; ValueError when they are not one of ours."""
    whole = orjson.loads(encoded)
    return _KINDS[whole["event"]].model_validate(whole["data"])


def frame(event_id: str | None, encoded: bytes) -> bytes:
    """The event as an SSE frame: `id:` (where it has one), `event:`, `data:` and a blank line."""
    name = name_of(encoded)
    data = encoded[len(_HEAD) + len(name) + len(_MIDDLE) : -1]
    id_line = b"" if event_id is None else b"id: " + event_id.encode() + b"\n"
    return b"".join((id_line, b"event: ", name.encode(), b"\ndata: ", data, b"\n\n"))
