"""`ollamanet api-keys`: what a person types whose programs talk to the platform."""

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from cli.acting import speak

if TYPE_CHECKING:
    from cli.client import Client

api_keys = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode=None,
    help="Your API keys: what programs send that were written for OpenAI, Ollama or OllamaNet.",
)


class Scope(StrEnum):
    """What a key may do."""

    chat = "chat"
    read = "read"


Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]


@api_keys.command("create")
def create_key(
    name: Annotated[str, typer.Argument(metavar="NAME", help="What you know it by.", show_default=False)],
    scope: Annotated[
        list[Scope] | None,
        typer.Option(help="What it may do; may be given twice. `chat` includes `read`.  [default: both]"),
    ] = None,
    expires: Annotated[
        str | None,
        typer.Option(help="When it ends: 12h, 90d, 8w, 1y from now, or a date (2036-01-01).  [default: never]"),
    ] = None,
    as_json: Json = False,
) -> None:
    """Make an API key and print its secret, this once.

    In a pipe nothing else is printed: KEY=$(ollamanet api-keys create notebook)
    """

    def work(client: "Client") -> int:
        from cli.keyring import create

        return create(client, name, [one.value for one in scope or Scope], expires, as_json)

    speak(work)


@api_keys.command("list")
def list_keys(as_json: Json = False) -> None:
    """Your keys, the newest first, without their secrets.

    In a pipe: a line each, fields between tabs (id, begin of the secret, scopes, made, last used, expires, name).
    """

    def work(client: "Client") -> int:
        from cli.keyring import list_them

        return list_them(client, as_json)

    speak(work)


@api_keys.command("revoke")
def revoke_keys(
    key_ids: Annotated[list[str], typer.Argument(metavar="ID", help="As `list` shows them.", show_default=False)],
    yes: Yes = False,
    as_json: Json = False,
) -> None:
    """End keys for good.

    Asks first. Programs that use them are refused, and their open streams end, within a second.
    """

    def work(client: "Client") -> int:
        from cli.keyring import revoke

        return revoke(client, key_ids, yes, as_json)

    speak(work)
