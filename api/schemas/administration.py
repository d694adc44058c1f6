"""JSON of what administrators order of models."""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

from api.schemas.text import Text
from contracts.administration import AdminCommand, CommandError, CommandStatus, StepProgress, StepResult
from contracts.records import Alias

MODEL_NAME = (
    r"^(?:[A-Za-z0-9][A-Za-z0-9.-]{0,252}(?::[0-9]{1,5})?/)?(?:[A-Za-z0-9_][A-Za-z0-9._-]{0,79}/){0,2}"
    r"[A-Za-z0-9_][A-Za-z0-9._-]{0,79}(?::[A-Za-z0-9_][A-Za-z0-9._-]{0,79})?$"
)
"""`[host[:port]/][namespace/]model[:tag]`, as Ollama names models."""
LONGEST_MODELFILE = 64 * 1024

ModelName = Annotated[str, StringConstraints(max_length=350, pattern=MODEL_NAME)]
KnownName = Annotated[Text, StringConstraints(min_length=1, max_length=500)]
Tag = Annotated[Text, StringConstraints(strip_whitespace=True, min_length=1, max_length=50, pattern=r"^[^,\s][^,]*$")]
Tags = Annotated[tuple[Tag, ...], Field(max_length=32)]
Description = Annotated[Text, StringConstraints(max_length=2000)]
Pool = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9-]{0,62}$")]
BackendNames = Annotated[
    tuple[Annotated[str, StringConstraints(min_length=1, max_length=100)], ...], Field(max_length=100)
]


class _Order(BaseModel):
    model_config = ConfigDict(extra="forbid")


class AddModel(_Order):
    """A model to be fetched from its registry or, with `modelfile`, to be made: by the named back-ends, else by every one of the pool
    whose models can be managed. insecure: its registry speaks http, or has a certificate that nobody signed."""

    name: ModelName = Field(examples=["smollm2:135m"])
    pool: Pool = "default"
    backends: BackendNames = ()
    tags: Tags = Field(default=(), examples=[["small", "fast"]])
    description: Description = ""
    insecure: bool = False
    modelfile: Annotated[Text, StringConstraints(max_length=LONGEST_MODELFILE)] | None = Field(
        default=None, examples=["FROM smollm2:135m\nSYSTEM You answer in one sentence.\n"]
    )

    @model_validator(mode="after")
    def _one_way(self) -> "AddModel":
        if self.modelfile is not None and self.insecure:
            raise ValueError("insecure is about a registry, and a model that is made comes from none")
        return self


class SetTags(_Order):
    """The tags that a model is to have, and no others."""

    tags: Tags = Field(examples=[["small", "fast"]])


class DescribeBody(_Order):
    """What a model's card is to say; what is left out stays, an empty text brings back what its back-ends tell."""

    description: Description | None = None
    license: Annotated[Text, StringConstraints(max_length=200)] | None = None

    @model_validator(mode="after")
    def _something(self) -> "DescribeBody":
        if self.description is None and self.license is None:
            raise ValueError("say a description or a license")
        return self


class CopyBody(_Order):
    """The second name."""

    destination: ModelName = Field(examples=["smollm2:previous"])


class VerifyBody(_Order):
    """Where it is to be tried; empty: on every back-end that has it."""

    backends: BackendNames = ()


class RetireBody(_Order):
    """Whether nobody may ask it any more; false brings it back."""

    retired: bool = True


class SetAlias(_Order):
    """The model that the alias is to name."""

    model: KnownName = Field(examples=["smollm2:135m"])


class AliasBody(BaseModel):
    """A second name of a model."""

    name: str
    model: str
    updated_at: datetime


class AliasList(BaseModel):
    """All aliases, by name."""

    items: list[AliasBody]
    next_cursor: str | None = None

    @classmethod
    def of(cls, aliases: Sequence[Alias]) -> "AliasList":
        """All of them as JSON."""
        return cls(items=[AliasBody(**dict(one)) for one in sorted(aliases, key=lambda one: one.name)])


class ProgressBody(BaseModel):
    """How far a command has come, all its back-ends together. Bytes; rate in bytes a second; null where it is no matter of bytes."""

    status: str
    digest: str | None
    total: int | None
    completed: int | None
    rate: float | None
    eta_ms: int | None
    backends: list[StepProgress]

    @classmethod
    def of(cls, steps: Sequence[StepProgress]) -> "ProgressBody | None":
        """Null before there is any. The phase is that of the step which has the most left."""
        if not steps:
            return None
        behind = max(steps, key=lambda one: (one.eta_ms or 0, (one.all_total or 0) - (one.all_completed or 0)))
        sized = [one for one in steps if one.all_total is not None]
        rates = [one.rate for one in steps if one.rate is not None]
        waits = [one.eta_ms for one in steps if one.eta_ms is not None]
        return cls(
            status=behind.status,
            digest=behind.digest,
            total=sum(one.all_total or 0 for one in sized) if sized else behind.total,
            completed=sum(one.all_completed or 0 for one in sized) if sized else behind.completed,
            rate=sum(rates) if rates else None,
            eta_ms=max(waits) if waits else None,
            backends=list(steps),
        )


class CommandBody(BaseModel):
    """A command. `targets`: what it acts on, decided when it is taken up; `results`: how each of them ended. `stream`: where it is followed."""

    id: str
    kind: str = Field(examples=["PullModel"])
    model: str
    status: CommandStatus
    progress: ProgressBody | None
    targets: tuple[str, ...]
    results: dict[str, StepResult]
    error: CommandError | None
    asked_by: str
    asked_at: datetime
    started_at: datetime | None
    ended_at: datetime | None
    stream: str

    @classmethod
    def of(cls, command: AdminCommand) -> "CommandBody":
        """A command as administrators see it."""
        return cls(
            id=command.id,
            kind=command.kind,
            model=command.model,
            status=command.status,
            progress=ProgressBody.of([one for _, one in sorted(command.progress.items())]),
            targets=command.targets,
            results=command.results,
            error=command.error,
            asked_by=command.asked_by,
            asked_at=command.asked_at,
            started_at=command.started_at,
            ended_at=command.ended_at,
            stream=f"/api/admin/commands/{command.id}/stream",
        )


class CommandList(BaseModel):
    """One page of commands, the newest first."""

    items: list[CommandBody]
    next_cursor: str | None
