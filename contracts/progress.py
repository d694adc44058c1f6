"""The events of a command's stream: `accepted`, `progress`, and one of three ends. Encoded and framed as a generation's are."""

from collections.abc import Sequence
from typing import ClassVar, Literal

import orjson
from pydantic import Field

from contracts.administration import AdminCommand, CommandError, StepProgress
from contracts.generation import encode_named, is_terminal
from contracts.value import Value

KEPT_FOR = 24 * 3600.0
"""Seconds that a command's stream is kept after its last event."""
MOST_EVENTS = 10_000
"""Events of a stream; beyond them only the terminal one is added."""


class CommandAccepted(Value):
    """The command is durable: it will end once."""

    event: ClassVar[Literal["accepted"]] = "accepted"
    command_id: str
    kind: str
    model: str


class CommandProgress(StepProgress):
    """How far one of its steps has come."""

    event: ClassVar[Literal["progress"]] = "progress"


class CommandCompleted(Value):
    """The end: every target did it. `results`: what each found out, by target."""

    event: ClassVar[Literal["completed"]] = "completed"
    results: dict[str, dict[str, object]] = Field(default_factory=dict)


class CommandFailed(Value):
    """The end: at least one target did not. `results`: what the others found out."""

    event: ClassVar[Literal["failed"]] = "failed"
    code: str
    message: str
    results: dict[str, dict[str, object]] = Field(default_factory=dict)


class CommandCancelled(Value):
    """The end: an administrator stopped it."""

    event: ClassVar[Literal["cancelled"]] = "cancelled"


CommandEvent = CommandAccepted | CommandProgress | CommandCompleted | CommandFailed | CommandCancelled


def encode_command_event(event: CommandEvent) -> bytes:
    """The one encoding of an event, as it stands in the log: see contracts.generation."""
    return encode_named(event.event, orjson.dumps(event.model_dump(mode="json", exclude_none=True)))


def accepted_of(command: AdminCommand) -> CommandAccepted:
    """The first event of a command's stream."""
    return CommandAccepted(command_id=command.id, kind=command.kind, model=command.model)


def end_of(command: AdminCommand) -> CommandCompleted | CommandFailed | CommandCancelled | None:
    """The last event of its stream; None while it goes on."""
    results = {target: one.detail for target, one in command.results.items()}
    match command.status:
        case "completed":
            return CommandCompleted(results=results)
        case "failed":
            error = command.error or CommandError(code="internal", message="It failed.")
            return CommandFailed(code=error.code, message=error.message, results=results)
        case "cancelled":
            return CommandCancelled()
        case _:
            return None


def to_the_end(events: Sequence[bytes]) -> tuple[Sequence[bytes], bool]:
    """The encoded events up to the first terminal one, and whether there is one: nothing follows it."""
    last = next((place for place, one in enumerate(events) if is_terminal(one)), None)
    return (events, False) if last is None else (events[: last + 1], True)
