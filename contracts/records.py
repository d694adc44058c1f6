"""Frozen values that stores keep and ports speak."""

from datetime import datetime
from typing import Generic, Literal, TypeVar

from pydantic import Field

from contracts.generation import Timings, ToolCallData, Usage
from contracts.value import Value

Role = Literal["user", "moderator", "admin"]
MessageRole = Literal["user", "assistant", "system", "tool"]
MessageStatus = Literal["complete", "streaming", "cancelled", "failed"]
BackendKind = Literal["ollama", "openai", "fake"]
DeadLetterStatus = Literal["waiting", "replayed", "discarded"]
Scope = Literal["chat", "read"]
"""What an API key may do: ask, cancel and change chats; read them. `chat` includes `read`."""


class Account(Value):
    """A person who may log in. `email` is kept folded (lower case), which is how it compares."""

    id: str
    email: str
    display_name: str = ""
    role: Role = "user"
    status: Literal["active", "suspended"] = "active"
    password_hash: str
    created_at: datetime


class SessionToken(Value):
    """One refresh token of a session, as the hash of it; `replaced_at` since it was rotated."""

    hash: str
    replaced_at: datetime | None = None


class Session(Value):
    """One login of one account on one device. At most the newest 10 tokens are kept."""

    id: str
    account_id: str
    tokens: tuple[SessionToken, ...]
    created_at: datetime
    expires_at: datetime
    ended_at: datetime | None = None


class ApiKey(Value):
    """What a person's program sends instead of a login. Of its secret only the SHA-256 is kept; `prefix` is how the secret begins."""

    id: str
    owner: str
    name: str
    prefix: str
    hash: str
    scopes: tuple[str, ...]
    """Of `Scope`; one that a newer writer knows permits nothing here."""
    created_at: datetime
    expires_at: datetime | None = None
    last_used_at: datetime | None = None


class Chat(Value):
    """The thread a person sees, without its messages. A deleted one stays as a tombstone and is never listed."""

    id: str
    owner: str
    title: str
    model: str
    pinned: bool = False
    archived: bool = False
    folder_id: str | None = None
    created_at: datetime
    updated_at: datetime


class ReplyError(Value):
    """Why a reply failed, as told on the stream."""

    code: str
    message: str
    retryable: bool


class Message(Value):
    """One turn of a chat. `last_event_id`: the stream id of the reply's terminal event, for those who resume late."""

    id: str
    chat_id: str
    owner: str
    parent_id: str | None
    role: MessageRole
    content: str
    thinking: str | None = None
    tool_calls: tuple[ToolCallData, ...] = ()
    system: str | None = None
    """The system prompt that came with a user's message; it holds from there on along the branch."""
    model: str | None = None
    generation_id: str | None = None
    status: MessageStatus = "complete"
    finish_reason: str | None = None
    usage: Usage | None = None
    timings: Timings | None = None
    error: ReplyError | None = None
    attempt: int | None = None
    backend: str | None = None
    last_event_id: str | None = None
    created_at: datetime


T = TypeVar("T")


class Page(Value, Generic[T]):
    """One page of a list; `next_cursor` asks for the next one, None at the end."""

    items: tuple[T, ...]
    next_cursor: str | None = None


class BackendSettings(Value):
    """One model server, as in OLLAMANET_BACKENDS. `slots`: generations that one worker runs there at once."""

    name: str = Field(min_length=1, max_length=100)
    kind: BackendKind
    url: str
    pool: str = Field(default="default", pattern=r"^[a-z0-9][a-z0-9-]{0,62}$")
    slots: int = Field(default=4, ge=1, le=1024)
    api_key: str | None = Field(default=None, repr=False)


class BackendModel(Value):
    """A model as one back-end describes it; None where that back-end does not tell."""

    name: str
    backend: str
    pool: str = "default"
    digest: str | None = None
    capabilities: tuple[str, ...] = ("chat",)
    family: str | None = None
    parameter_size: str | None = None
    quantization: str | None = None
    size_bytes: int | None = None
    context_length: int | None = None
    license: str | None = None


class Model(Value):
    """A name that users choose, with every back-end that serves it now (none: `unavailable`)."""

    name: str
    description: str = ""
    tags: tuple[str, ...] = ()
    served_by: tuple[BackendModel, ...] = ()
    known: BackendModel | None = None
    """What was last known of it; kept while no back-end serves it."""
    verified_at: datetime | None = None
    updated_at: datetime

    @property
    def available(self) -> bool:
        """Whether a back-end serves it now."""
        return bool(self.served_by)


class DeadLetter(Value):
    """A message that nobody could handle, kept for an operator: shown, replayed or discarded.

    `attributes` and `body` as they came. `attempts`: runs of its generation, or deliveries. A letter that is not `waiting` any
    more keeps who decided, when, and the generation that a replay began.
    """

    id: str
    queue: str
    reason: str
    why: str | None = None
    type: str | None = None
    subject: str | None = None
    owner: str | None = None
    traceparent: str | None = None
    correlationid: str | None = None
    attempts: int = 0
    attributes: dict[str, str] = Field(default_factory=dict)
    body: str
    died_at: datetime
    status: DeadLetterStatus = "waiting"
    decided_by: str | None = None
    decided_at: datetime | None = None
    replayed_as: str | None = None


class Probe(Value):
    """Whether a model on a back-end goes on from a text that was begun, as it was found out. `digest`: of the model, where told."""

    backend: str
    model: str
    digest: str | None
    continues: bool
    probed_at: datetime


class LoadedModel(Value):
    """A model in a back-end's memory, until `expires_at` if nobody asks it. Bytes in all, and those on a GPU; None: not told."""

    name: str
    size_bytes: int | None = None
    gpu_bytes: int | None = None
    context_length: int | None = None
    expires_at: datetime | None = None


class BackendHealth(Value):
    """What the catalog last saw of a back-end."""

    name: str
    kind: BackendKind
    pool: str
    healthy: bool
    error: str | None = None
    checked_at: datetime
    loaded: tuple[LoadedModel, ...] = ()
    """Empty also where its protocol does not tell."""
