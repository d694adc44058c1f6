"""Frozen values that stores keep and ports speak."""

from datetime import datetime
from typing import Generic, Literal, TypeVar

from pydantic import Field

from contracts.generation import Timings, ToolCallData, Usage
from contracts.images import ImageReference
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
    images: tuple[ImageReference, ...] = Field(default=(), exclude_if=lambda images: not images)
    """What a user's message shows beside its words."""
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
    tls_ca: str | None = None
    """Certificates (PEM) that are trusted beside nobody else's; None: those that the machine trusts."""
    tls_verify: bool = True


class RegisteredBackend(Value):
    """A back-end in the registry. What stands in OLLAMANET_BACKENDS (`configuration`) is changed there alone, and is trusted; one
    that an administrator added may only lead to public addresses, unless OLLAMANET_ALLOW_PRIVATE_BACKENDS says otherwise."""

    settings: BackendSettings
    source: Literal["configuration", "admin"] = "admin"
    created_at: datetime
    updated_at: datetime


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
    description: str | None = None
    sees: bool | None = None
    """Whether it reads images."""


class Verification(Value):
    """What trying a model on one back-end found. `works`: it answered, and its digest is not another one than its registry's.

    digest: whether the registry has the very same (`unknown`: the back-end or the registry does not tell). continues: whether
    it goes on from an answer that was begun; None where that was not found out.
    """

    backend: str
    works: bool
    at: datetime
    digest: Literal["same", "different", "unknown"] = "unknown"
    ttft_ms: int | None = None
    total_ms: int | None = None
    tokens_per_second: float | None = None
    dimensions: int | None = None
    continues: bool | None = None
    error: str | None = None


class Model(Value):
    """A name that users choose, with every back-end that serves it now (none: `unavailable`).

    What back-ends tell (`served_by`, `known`) is written by refreshes, the rest by administrators' commands: each with a call of
    its own, so that neither undoes the other.
    """

    name: str
    description: str = ""
    """The administrators' own; empty: what back-ends tell."""
    license: str | None = None
    """The same."""
    tags: tuple[str, ...] = ()
    served_by: tuple[BackendModel, ...] = ()
    known: BackendModel | None = None
    """What was last known of it; kept while no back-end serves it."""
    verifications: tuple[Verification, ...] = ()
    """The newest of each back-end."""
    retired: bool = False
    """Nobody may ask it any more."""
    verified_at: datetime | None = None
    """When it was last found to work everywhere it was tried."""
    updated_at: datetime

    @property
    def available(self) -> bool:
        """Whether a back-end serves it now."""
        return bool(self.served_by)


class ModelChanges(Value):
    """What an administrator's command changes of a model's record: the fields that are set, and no other."""

    description: str = ""
    license: str | None = None
    tags: tuple[str, ...] = ()
    verifications: tuple[Verification, ...] = ()
    """Each in the place of an older one of that back-end; those of others stay, so that two workers lose neither's. Empty: all go."""
    verified_at: datetime | None = None
    retired: bool = False


class Alias(Value):
    """A second name, by which people ask whatever model it stands for."""

    name: str
    model: str
    updated_at: datetime


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
    latency_ms: int | None = None
    """Until it had told what it has; None where it did not."""
    version: str | None = None
    """Of its software; None where its protocol does not tell."""
    loaded: tuple[LoadedModel, ...] = ()
    """Empty also where its protocol does not tell."""


class BackendReport(Value):
    """What one worker sees of one back-end from its own traffic, at most 2 s old while it changes; it counts for 10 s.

    circuit: `open`: the worker sends nothing there for now; `half-open`: it tries one call. Over the last minute: `calls` that
    ended, `failures` among them, and the median until the first token (ms; None where there was none). `running`: calls now, by model.
    """

    backend: str
    worker: str
    pool: str
    at: datetime
    slots: int
    circuit: Literal["closed", "open", "half-open"] = "closed"
    calls: int = 0
    failures: int = 0
    ttft_ms: int | None = None
    running: dict[str, int] = Field(default_factory=dict)
