"""What administrators order, and how it stands: commands, the steps they consist of, and the record of who did what.

A command acts on one or more targets: back-ends by name, or `CATALOG` for what only changes the catalog's own record. Each
target is one step, which a catalog worker runs under a lease. Commands that want the very same of a back-end (a pull of the
same model) share the step: each attaches to it, a cancel detaches, and a step that nobody waits for any more is stopped.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Literal

from pydantic import Field

from contracts.commands import MODEL_COMMANDS, ModelCommand, PullModel
from contracts.value import Value

CATALOG = "catalog"
"""The target of what is done to the catalog's own record; no back-end may have this name."""

CommandStatus = Literal["queued", "running", "completed", "failed", "cancelled"]
KINDS: Mapping[str, type[ModelCommand]] = {one.__name__: one for one in MODEL_COMMANDS}
ENDED: tuple[CommandStatus, ...] = ("completed", "failed", "cancelled")
AuditOutcome = Literal["accepted", "completed", "failed", "cancelled"]

COMMAND_FAILURES = (
    "backend_unreachable", "backend_error", "backend_cut", "backend_garbage", "pull_stalled", "unknown_model",
    "unknown_backend", "no_backend", "not_manageable", "alias_taken", "model_in_use", "model_being_pulled", "model_deleted",
    "model_not_found", "digest_mismatch", "disk_full", "not_verified", "gguf_unreachable", "modelfile_invalid", "expired",
    "internal",
)  # fmt: skip
"""The codes of `CommandError`."""


class CommandError(Value):
    """Why a command, or a step of it, failed."""

    code: str
    message: str


class StepProgress(Value):
    """How far a step has come. Bytes of the layer `digest`, and of all layers known so far; None where it is not a matter of bytes.

    `rate`: bytes a second, over the last seconds. `eta_ms`: until all layers known so far are there.
    """

    backend: str
    status: str
    digest: str | None = None
    total: int | None = None
    completed: int | None = None
    all_total: int | None = None
    all_completed: int | None = None
    rate: float | None = None
    eta_ms: int | None = None


class StepResult(Value):
    """How a step ended: well, where `error` is None. `detail`: what it found out, as JSON."""

    error: CommandError | None = None
    detail: dict[str, object] = Field(default_factory=dict)
    ended_at: datetime


class AdminCommand(Value):
    """A command as the store keeps it. It ends once: the first of completed, failed and cancelled stays."""

    id: str
    """Minted by the edge; also the id of its audit entry and of its stream."""
    kind: str
    """The contract's name: `PullModel`, `VerifyModel`, …"""
    model: str
    body: dict[str, object] = Field(default_factory=dict)
    """The whole command as it is on the bus, so that a lost one can be taken up again."""
    asked_by: str
    asked_at: datetime
    status: CommandStatus = "queued"
    targets: tuple[str, ...] = ()
    """Decided when it is taken up; empty while it is queued."""
    results: dict[str, StepResult] = Field(default_factory=dict)
    """By target, as far as its steps have ended."""
    progress: dict[str, StepProgress] = Field(default_factory=dict)
    """By target, at most a second old."""
    error: CommandError | None = None
    started_at: datetime | None = None
    ended_at: datetime | None = None

    @property
    def missing(self) -> tuple[str, ...]:
        """The targets whose step has not ended."""
        return tuple(one for one in self.targets if one not in self.results)


class Step(Value):
    """One thing to be done to one target. `key` says which: who wants the same, shares it.

    `epoch` rises with every take: who holds an older one has lost it. `changes` rises with every command that attaches or
    detaches, so that a step is only removed by who has told all of them.
    """

    key: str
    kind: str
    target: str
    model: str
    body: dict[str, object] = Field(default_factory=dict)
    commands: tuple[str, ...] = ()
    epoch: int = 0
    changes: int = 0
    created_at: datetime


class AuditEntry(Value):
    """Who ordered what, when, and what came of it. `details` never holds a secret."""

    id: str
    at: datetime
    actor: str
    """The account's id."""
    action: str
    """A command's kind, or what was done at the edge: `AddBackend`, `ReplayDeadLetter`, …"""
    subject: str
    """What it was done to: a model's, a back-end's or an alias' name, a letter's id."""
    details: dict[str, object] = Field(default_factory=dict)
    outcome: AuditOutcome = "accepted"
    error: CommandError | None = None
    ended_at: datetime | None = None
    request_id: str | None = None


def record_of(command: ModelCommand) -> AdminCommand:
    """The command as the store keeps it first."""
    return AdminCommand(
        id=command.command_id,
        kind=type(command).__name__,
        model=command.model,
        body=command.model_dump(mode="json"),
        asked_by=command.asked_by,
        asked_at=command.asked_at,
    )


def step_of(command: ModelCommand, target: str) -> Step:
    """The step of one target. Pulls of the same model by the same back-end are one step, whoever ordered them."""
    kind, model = type(command).__name__, command.model.removesuffix(":latest")
    wanted = model if isinstance(command, PullModel) else command.command_id
    return Step(
        key=f"{kind} {target} {wanted}",
        kind=kind,
        target=target,
        model=model,
        body=command.model_dump(mode="json"),
        created_at=command.asked_at,
    )
