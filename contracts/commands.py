"""Orders to one owner. Everything its worker needs is inside."""

from datetime import datetime
from typing import ClassVar, Literal, get_args

from pydantic import Field

from contracts.generation import ToolCallData
from contracts.images import ImageReference
from contracts.records import MessageRole
from contracts.value import Value

Lane = Literal["interactive", "bulk", "batch"]
LANES: tuple[Lane, ...] = get_args(Lane)
"""In the order in which they are served."""
Effort = Literal["minimal", "low", "medium", "high", "xhigh", "max"]


class Question(Value):
    """The whole question. It travels in every contract about its generation, so that either is enough to record both."""

    generation_id: str
    """Minted by the edge; handling the same id twice must not produce two replies."""
    owner: str
    chat_id: str
    message_id: str
    reply_id: str
    parent_id: str | None = None
    content: str
    system: str | None = None
    model: str
    asked_at: datetime
    replay_of: str | None = None
    """The dead generation that an operator had asked again."""
    images: tuple[ImageReference, ...] = Field(default=(), exclude_if=lambda images: not images)
    """What the user's message shows beside its words."""


class Turn(Value):
    """One message as a model reads it."""

    role: MessageRole
    content: str
    tool_calls: tuple[ToolCallData, ...] = ()
    images: tuple[ImageReference, ...] = Field(default=(), exclude_if=lambda images: not images)
    """By reference: the worker reads their bytes, of the question's owner, just before it asks a model."""


def _unset(value: object) -> bool:
    """A field that is newer than its class: readers of old know nothing of it, and digests of what was asked stand."""
    return value is None


class SamplingOptions(Value):
    """How to sample; None leaves it to the back-end."""

    temperature: float | None = Field(default=None, ge=0, le=5)
    top_p: float | None = Field(default=None, ge=0, le=1)
    top_k: int | None = Field(default=None, ge=0)
    seed: int | None = None
    max_tokens: int | None = Field(default=None, ge=1)
    stop: tuple[str, ...] = ()
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    min_p: float | None = Field(default=None, ge=0, le=1, exclude_if=_unset)
    """Tokens less likely than this share of the likeliest one are left out."""
    typical_p: float | None = Field(default=None, ge=0, le=1, exclude_if=_unset)
    repeat_penalty: float | None = Field(default=None, gt=0, exclude_if=_unset)
    """1: none."""
    repeat_last_n: int | None = Field(default=None, ge=-1, exclude_if=_unset)
    """How many of the last tokens it looks at; -1: all of the context."""
    mirostat: Literal[0, 1, 2] | None = Field(default=None, exclude_if=_unset)
    mirostat_tau: float | None = Field(default=None, ge=0, exclude_if=_unset)
    mirostat_eta: float | None = Field(default=None, ge=0, le=1, exclude_if=_unset)
    num_keep: int | None = Field(default=None, ge=-1, exclude_if=_unset)
    """How many of the first tokens stay where a server shifts a full context; -1: all of the question."""
    logit_bias: dict[str, float] | None = Field(default=None, exclude_if=_unset)
    """By the number of a token, which means something to its own model alone; -100 to 100."""


class NamedTool(Value):
    """The tool that a model must call."""

    name: str


class GenerateReply(Value):
    """Run the model on this context and append what it says to the generation's log."""

    type: ClassVar[str] = "net.ollamanet.GenerateReply.v1"
    question: Question
    pool: str
    lane: Lane = "interactive"
    context: tuple[Turn, ...]
    """What the model reads, oldest first, ending with the question."""
    options: SamplingOptions = SamplingOptions()
    think: bool | None = None
    format: dict[str, object] | Literal["json"] | None = None
    tools: tuple[dict[str, object], ...] = ()
    effort: Effort | None = Field(default=None, exclude_if=_unset)
    """How much to think, where the model knows more than whether to."""
    tool_choice: Literal["required"] | NamedTool | None = Field(default=None, exclude_if=_unset)
    """That a tool must be called, any or this one; None: the model decides."""
    parallel_tool_calls: bool | None = Field(default=None, exclude_if=_unset)
    """Whether it may call more than one at once; None leaves it to the back-end."""
    keep_alive: int | None = Field(default=None, ge=1, exclude_if=_unset)
    """Seconds that the model is to stay in memory afterwards; None leaves it to the back-end."""
    starts_before: datetime
    """Not begun by then: it is dropped and told to the person as `expired`."""
    deadline: datetime
    """The hard deadline: nothing runs on after it."""
    prefers: str | None = None
    """The back-end that wrote the reply before this question: its cache may hold the chat."""

    @property
    def subject(self) -> str:
        """What it is about, for CloudEvents."""
        return self.question.generation_id


class EmbedTexts(Value):
    """Have a model turn these texts into vectors, and put them where the edge waits for them.

    Nothing of it is recorded; it may be run twice, and then the first result counts.
    """

    type: ClassVar[str] = "net.ollamanet.EmbedTexts.v1"
    embedding_id: str
    """Minted by the edge."""
    owner: str
    model: str
    pool: str
    inputs: tuple[str, ...] = Field(min_length=1, max_length=2048)
    dimensions: int | None = Field(default=None, ge=1)
    """Of each vector; None leaves it to the model."""
    truncate: bool = False
    """Whether what is too long for the model may be cut, where its back-end does so; else it is a failure."""
    deadline: datetime
    """Nobody waits after it: what comes later is dropped."""

    @property
    def subject(self) -> str:
        """What it is about, for CloudEvents."""
        return self.embedding_id


class RefreshCatalog(Value):
    """Ask the back-ends now what they have."""

    type: ClassVar[str] = "net.ollamanet.RefreshCatalog.v1"
    backend: str | None = None
    """Only this one; None means all."""

    @property
    def subject(self) -> str:
        """What it is about, for CloudEvents."""
        return self.backend or "*"


class _ModelCommand(Value):
    command_id: str
    """Minted by the edge; handling it twice changes nothing more."""
    asked_by: str
    """The administrator's account."""
    model: str
    asked_at: datetime

    @property
    def subject(self) -> str:
        """What it is about, for CloudEvents."""
        return self.command_id


class PullModel(_ModelCommand):
    """Have back-ends fetch a model from its registry: those named, else every one of the pool that can."""

    type: ClassVar[str] = "net.ollamanet.PullModel.v1"
    pool: str = "default"
    backends: tuple[str, ...] = ()
    insecure: bool = False
    """The registry speaks http, or has a certificate that nobody signed."""
    tags: tuple[str, ...] = ()
    description: str = ""


class CreateModel(_ModelCommand):
    """Have back-ends make a model, of another one they have or of a GGUF file, as a Modelfile says."""

    type: ClassVar[str] = "net.ollamanet.CreateModel.v1"
    pool: str = "default"
    backends: tuple[str, ...] = ()
    modelfile: str = ""
    """FROM (a model, or the https URL of a GGUF file), PARAMETER, TEMPLATE, SYSTEM, LICENSE, MESSAGE."""
    tags: tuple[str, ...] = ()
    description: str = ""


class CopyModel(_ModelCommand):
    """Have every back-end that has the model give it a second name."""

    type: ClassVar[str] = "net.ollamanet.CopyModel.v1"
    destination: str


class TagModel(_ModelCommand):
    """Set the tags that people see and search by."""

    type: ClassVar[str] = "net.ollamanet.TagModel.v1"
    tags: tuple[str, ...]


class DescribeModel(_ModelCommand):
    """Change what the model's card says; None leaves it, an empty text brings back what back-ends tell."""

    type: ClassVar[str] = "net.ollamanet.DescribeModel.v1"
    description: str | None = None
    license: str | None = None


class AliasModel(_ModelCommand):
    """Let `alias` name this model from now on; `remove`: it names nothing any more."""

    type: ClassVar[str] = "net.ollamanet.AliasModel.v1"
    alias: str
    remove: bool = False


class VerifyModel(_ModelCommand):
    """Find out whether the model really works on every back-end that has it, or on those named."""

    type: ClassVar[str] = "net.ollamanet.VerifyModel.v1"
    backends: tuple[str, ...] = ()


class RetireModel(_ModelCommand):
    """Take the model out of Explore, so that nobody asks it any more; back-ends keep it. `retired` False: bring it back."""

    type: ClassVar[str] = "net.ollamanet.RetireModel.v1"
    retired: bool = True


class DeleteModel(_ModelCommand):
    """Delete the model from every back-end that has it, or from those named.

    Refused while it is pulled or used, unless `force` (at once) or `drain` (nobody asks it any more; when the last answer
    has ended, it goes).
    """

    type: ClassVar[str] = "net.ollamanet.DeleteModel.v1"
    backends: tuple[str, ...] = ()
    force: bool = False
    drain: bool = False


ModelCommand = (
    PullModel
    | CreateModel
    | CopyModel
    | TagModel
    | DescribeModel
    | AliasModel
    | VerifyModel
    | RetireModel
    | DeleteModel
)
MODEL_COMMANDS: tuple[type[ModelCommand], ...] = get_args(ModelCommand)
Command = GenerateReply | EmbedTexts | RefreshCatalog | ModelCommand
