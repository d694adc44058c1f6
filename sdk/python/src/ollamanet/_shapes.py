"""The JSON of the platform's answers, by the names that this client uses. A newer platform may send more.

`tests/test_shapes.py` compares them with the platform's OpenAPI document.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Literal, TypedDict


class User(TypedDict):
    """Who is logged in."""

    id: str
    email: str
    display_name: str
    role: Literal["user", "moderator", "admin"]
    created_at: str


class Chat(TypedDict):
    """One chat of a list."""

    id: str
    title: str
    model: str
    pinned: bool
    archived: bool
    folder_id: str | None
    created_at: str
    updated_at: str


class UsageData(TypedDict, total=False):
    """Tokens."""

    input_tokens: int
    output_tokens: int
    spent_output_tokens: int | None


class TimingsData(TypedDict, total=False):
    """Milliseconds, and tokens a second."""

    queue_ms: int
    load_ms: int
    ttft_ms: int
    total_ms: int
    tokens_per_second: float


class ErrorData(TypedDict):
    """Why a reply failed."""

    code: str
    message: str
    retryable: bool


class _ToolCallData(TypedDict):
    id: str
    name: str


class ToolCallData(_ToolCallData, total=False):
    """A call of a tool."""

    arguments: dict[str, Any]


class Image(TypedDict):
    """An image that messages may show. `width` and `height` in pixels."""

    id: str
    media_type: Literal["image/png", "image/jpeg", "image/webp", "image/gif"]
    size: int
    width: int
    height: int


class _Message(TypedDict):
    id: str
    chat_id: str
    parent_id: str | None
    role: Literal["user", "assistant", "system", "tool"]
    content: str
    status: Literal["complete", "streaming", "cancelled", "failed"]
    created_at: str


class Message(_Message, total=False):
    """One turn of a chat."""

    images: list[Image] | None
    thinking: str | None
    tool_calls: list[ToolCallData] | None
    model: str | None
    generation_id: str | None
    usage: UsageData | None
    error: ErrorData | None


class WholeChat(Chat):
    """A chat with its messages, finished or still streaming."""

    messages: list[Message]


class _Generation(TypedDict):
    id: str
    chat_id: str
    status: str
    model: str
    attempt: int


class Generation(_Generation, total=False):
    """One run of a model."""

    message_id: str | None
    reply_id: str | None
    usage: UsageData | None
    timings: TimingsData | None
    error: ErrorData | None


class Model(TypedDict):
    """A model that may be asked."""

    name: str
    alias_of: str | None
    description: str
    tags: list[str]
    capabilities: list[str]
    family: str | None
    parameter_size: str | None
    quantization: str | None
    size_bytes: int | None
    context_length: int | None
    license: str | None
    status: str
    backends: list[str]
    verifications: list[dict[str, object]]
    verified_at: str | None
    updated_at: str


class ApiKey(TypedDict):
    """An API key as its owner sees it."""

    id: str
    name: str
    prefix: str
    scopes: list[str]
    created_at: str
    expires_at: str | None
    last_used_at: str | None


class SecretApiKey(ApiKey):
    """A key that was made just now; `secret` is not shown again."""

    secret: str


class Options(TypedDict, total=False):
    """How to sample; what is left out is the model's choice."""

    temperature: float | None
    top_p: float | None
    top_k: int | None
    seed: int | None
    max_tokens: int | None
    stop: list[str]
    presence_penalty: float | None
    frequency_penalty: float | None
    min_p: float | None
    typical_p: float | None
    repeat_penalty: float | None
    repeat_last_n: int | None
    mirostat: Literal[0, 1, 2] | None
    mirostat_tau: float | None
    mirostat_eta: float | None
    num_keep: int | None
    logit_bias: Mapping[str, float] | None
    num_ctx: int
    """Tokens of context that are needed at least."""


Effort = Literal["minimal", "low", "medium", "high", "xhigh", "max"]
"""How much to think, where the model knows that."""


class MoreOfAQuestion(TypedDict, total=False):
    """What a question may say besides its content and model. No `chat_id`: a new chat. No `parent_id`: it answers the newest message.

    `system` holds from this question on; `images`: ids of `POST /api/images`;
    `format`: "json", or a JSON schema; `keep_alive`: seconds, or a duration like "10m".
    """

    chat_id: str | None
    parent_id: str | None
    system: str | None
    images: Sequence[str]
    options: Options
    think: bool | Effort | None
    format: Literal["json"] | Mapping[str, Any] | None
    tools: Sequence[Mapping[str, Any]]
    tool_choice: Literal["none", "auto", "required"] | Mapping[str, Any] | None
    parallel_tool_calls: bool | None
    keep_alive: float | str | None
