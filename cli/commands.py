"""`ollamanet commands`: what an administrator types who looks after commands that run."""

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from cli.acting import speak

if TYPE_CHECKING:
    from cli.client import Client

commands = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode=None,
    help="What administrators ordered of models: see it, follow it, stop it. For administrators.",
)


class Status(StrEnum):
    """How a command stands."""

    queued = "queued"
    running = "running"
    completed = "completed"
    failed = "failed"
    cancelled = "cancelled"


Id = Annotated[str, typer.Argument(metavar="ID", help="As `list` shows it.", show_default=False)]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@commands.command("list")
def list_commands(
    status: Annotated[Status | None, typer.Option(help="Only these.")] = None,
    model: Annotated[str | None, typer.Option(help="About this model.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=100_000, help="How many at most.")] = 30,
    as_json: Json = False,
) -> None:
    """Commands, the newest first.

    In a pipe: a line each, fields between tabs (id, time, kind, model, status, targets, error).
    """

    def work(client: "Client") -> int:
        from cli.watching import list_them

        return list_them(client, {"status": status.value if status else None, "model": model}, limit, as_json)

    speak(work)


@commands.command("show")
def show_command(command_id: Id, as_json: Json = False) -> None:
    """How a command stands."""

    def work(client: "Client") -> int:
        from cli.watching import show

        return show(client, command_id, as_json)

    speak(work)


@commands.command("follow")
def follow_command(
    command_id: Id,
    as_json: Annotated[bool, typer.Option("--json", help="Print its events as JSON, a line each.")] = False,
) -> None:
    """See a command's progress until its end. The exit code is 0 where it completes; Ctrl-C leaves it running."""

    def work(client: "Client") -> int:
        from cli.watching import follow

        return follow(client, command_id, as_json)

    speak(work)


@commands.command("cancel")
def cancel_command(command_id: Id, as_json: Json = False) -> None:
    """Stop a command. What another command wants as well goes on; what is done stays done."""

    def work(client: "Client") -> int:
        from cli.watching import cancel

        return cancel(client, command_id, as_json)

    speak(work)
