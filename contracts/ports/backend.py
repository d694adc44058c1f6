"""Servers that run models."""

from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol

from contracts.commands import Effort, NamedTool, SamplingOptions, Turn
from contracts.embeddings import Vectors
from contracts.generation import ToolCallData, Usage
from contracts.ports.management import ModelManagement
from contracts.records import BackendModel, BackendSettings, LoadedModel

# to repeat a text is what even the smallest model is sure of: from its third token on, SmolLM2-135M is 1.7 nats and more from another
# one, while "Tell me about the sea." had a tie among the first 16. To count would be no question: a new answer might count on, too.
PROBE = (
    "Repeat exactly: Rain falls on the hills, runs down in small streams, and meets in a river on its way to the sea."
)
"""What models are asked to find out whether they go on from an answer that was begun; nobody's question."""


@dataclass(frozen=True)
class ChatRequest:
    """What a model is asked. Time-outs in seconds: until the first piece, and between two pieces.

    `said`: the beginning of the reply, which an earlier attempt wrote: the model is to go on from there, and its pieces are
    what follows. Whether a model really does so is found out by probing, for some begin a new reply. `images`: the bytes of every
    image that a turn refers to, by its id.
    """

    model: str
    context: tuple[Turn, ...]
    options: SamplingOptions = field(default_factory=SamplingOptions)
    think: bool | None = None
    format: dict[str, object] | Literal["json"] | None = None
    tools: tuple[dict[str, object], ...] = ()
    effort: Effort | None = None
    tool_choice: Literal["required"] | NamedTool | None = None
    parallel_tool_calls: bool | None = None
    keep_alive: int | None = None
    said: str = ""
    images: Mapping[str, bytes] = field(default_factory=dict[str, bytes])
    first_token_timeout: float = 120.0
    token_timeout: float = 60.0


@dataclass(frozen=True)
class Text:
    """A piece of the reply."""

    text: str
    tokens: int = 1


@dataclass(frozen=True)
class ThinkingText:
    """A piece of the model's thinking."""

    text: str
    tokens: int = 1


@dataclass(frozen=True)
class CallTool:
    """The model calls a tool."""

    call: ToolCallData


@dataclass(frozen=True)
class Done:
    """The last item of a run that ended well. `finish_reason`: stop, length or tool_calls.

    usage: of the whole context, also where the server had it in its cache. Milliseconds, by the server's own clock: loading the
    model, reading what was new of the context, writing the answer; None where its protocol does not tell.
    """

    finish_reason: str
    usage: Usage
    load_ms: int = 0
    prompt_ms: float | None = None
    eval_ms: float | None = None

    def rate(self, took: float) -> float:
        """Tokens a second of the answer: by the server's clock where it tells, else of `took`, the seconds since its first piece."""
        seconds = took if self.eval_ms is None else self.eval_ms / 1000
        return self.usage.output_tokens / seconds if seconds > 0 else 0.0


@dataclass(frozen=True)
class EmbedRequest:
    """Texts, at least one, that a model is to turn into vectors. dimensions: of each; None leaves it to the model.

    truncate: whether what is too long may be cut, where the server does so. timeout: seconds for all of it.
    """

    model: str
    texts: tuple[str, ...]
    dimensions: int | None = None
    truncate: bool = False
    timeout: float = 60.0


Piece = Text | ThinkingText | CallTool | Done


class Backend(Protocol):
    """One model server; an adapter is an async context manager that owns its connections."""

    settings: BackendSettings

    def chat(self, request: ChatRequest) -> AsyncGenerator[Piece, None]:
        """Run the model; the last piece is Done. `aclose()` closes the connection, which is what stops the model.

        Raises BackendFailed with code backend_unreachable, backend_error (an error status, or an error object in mid-stream;
        `retryable` false for 4xx other than 408 and 429), backend_cut (ended without its end mark), backend_garbage,
        first_token_timeout or token_timeout; context_too_long where the server says so; option_unsupported (never retryable), a sentence
        that names the option, where the server would answer as if it had not been asked for.
        """
        ...

    async def embed(self, request: EmbedRequest) -> Vectors:
        """A vector for each text, every number finite. Being cancelled closes the connection.

        Raises BackendFailed as `chat` does; also with code model_cannot_embed or dimensions_unsupported (never retryable), and
        generation_timeout when its time is over.
        """
        ...

    async def models(self) -> Sequence[BackendModel]:
        """What it has now (names without `:latest`). Raises BackendFailed. Bounded to 10 s."""
        ...

    async def loaded(self) -> Sequence[LoadedModel]:
        """What it has in memory now; nothing where its protocol does not tell. Raises BackendFailed. Bounded to 10 s."""
        return ()

    @property
    def management(self) -> ModelManagement | None:
        """How its models are managed; None where its protocol has no calls for that."""
        return None


class BackendRoster(Protocol):
    """The back-ends that there are: those of the configuration, and those of the registry as far as it was read."""

    @property
    def backends(self) -> Mapping[str, Backend]:
        """By name, opened; another mapping after every change."""
        ...

    async def refresh(self) -> None:
        """Read the registry now. Raises Unavailable; then what was known stays."""
        ...
