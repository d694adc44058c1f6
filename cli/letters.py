"""`ollamanet dead-letters`: what an operator types."""

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from cli.acting import speak

if TYPE_CHECKING:
    from cli.client import Client

letters = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode=None,
    help="What nobody could handle: see it, replay it or discard it. For administrators.",
)


class Status(StrEnum):
    """Which letters a list shows."""

    waiting = "waiting"
    replayed = "replayed"
    discarded = "discarded"
    all = "all"


Ids = Annotated[list[str] | None, typer.Argument(metavar="ID", help="As `list` shows them.", show_default=False)]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]


@letters.command("list")
def list_letters(
    status: Annotated[Status, typer.Option(help="Which.")] = Status.waiting,
    limit: Annotated[int, typer.Option(min=1, max=100_000, help="How many at most.")] = 30,
    as_json: Json = False,
) -> None:
    """The last to die first.

    In a pipe: a line each, fields between tabs (id, time, status, reason, message, attempts, why).
    """

    def work(client: "Client") -> int:
        from cli.deciding import list_them

        return list_them(client, None if status is Status.all else status.value, limit, as_json)

    speak(work)


@letters.command("show")
def show_letter(letter_id: Annotated[str, typer.Argument(metavar="ID")], as_json: Json = False) -> None:
    """Everything about one letter.

    Its body may hold what a person wrote.
    """

    def work(client: "Client") -> int:
        from cli.deciding import show_it

        return show_it(client, letter_id, as_json)

    speak(work)


@letters.command("replay")
def replay_letters(
    letter_ids: Ids = None,
    every: Annotated[bool, typer.Option("--all", help="Every letter that waits; asks first.")] = False,
    yes: Yes = False,
    as_json: Json = False,
) -> None:
    """Handle letters once more.

    A question becomes a new generation in the chat of the person who asked it; anything else is published again.
    """

    def work(client: "Client") -> int:
        from cli.deciding import replay_them

        return replay_them(client, letter_ids or [], every, yes, as_json)

    speak(work)


@letters.command("discard")
def discard_letters(letter_ids: Ids = None, yes: Yes = False, as_json: Json = False) -> None:
    """Decide that nothing is to be done.

    Asks first. The letters stay in the list of discarded ones.
    """

    def work(client: "Client") -> int:
        from cli.deciding import discard_them

        return discard_them(client, letter_ids or [], yes, as_json)

    speak(work)
