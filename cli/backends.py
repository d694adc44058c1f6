"""`ollamanet backends`: what an administrator types who adds, tries, changes and removes model servers."""

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cli.acting import speak

if TYPE_CHECKING:
    from cli.client import Client

backends = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode=None,
    help="The servers that run models: add, test, change and remove them. For administrators.",
)


class Kind(StrEnum):
    """What a server speaks."""

    ollama = "ollama"
    openai = "openai"


Name = Annotated[str, typer.Argument(metavar="NAME", help="As `list` shows it.", show_default=False)]
Pool = Annotated[str | None, typer.Option(help="Whose workers send questions there.  [default: default]")]
Slots = Annotated[
    int | None, typer.Option(min=1, max=1024, help="Calls that one worker runs there at once.  [default: 4]")
]
AskKey = Annotated[bool, typer.Option("--ask-api-key", help="Ask for its API key.")]
KeyStdin = Annotated[bool, typer.Option("--api-key-stdin", help="Read its API key from standard input.")]
Ca = Annotated[
    Path | None,
    typer.Option("--tls-ca", help="A file of certificates (PEM) to trust, and no others.", show_default=False),
]
Verify = Annotated[
    bool | None, typer.Option("--tls-verify/--no-tls-verify", help="Whether its certificate has to be good.")
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]


@backends.command("list")
def list_backends(as_json: Json = False) -> None:
    """All servers by name, and how they stand.

    In a pipe: a line each, fields between tabs (name, kind, URL, pool, slots, source, state, calls now, calls there may be, error).
    """

    def work(client: "Client") -> int:
        from cli.servers import list_them

        return list_them(client, as_json)

    speak(work)


@backends.command("add")
def add_backend(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Lower case: gpu-1.", show_default=False)],
    url: Annotated[
        str, typer.Argument(metavar="URL", help="http://gpu-1:11434, https://api.example.org/v1", show_default=False)
    ],
    kind: Annotated[Kind, typer.Option(help="What it speaks.")] = Kind.ollama,
    pool: Pool = None,
    slots: Slots = None,
    ask_api_key: AskKey = False,
    api_key_stdin: KeyStdin = False,
    tls_ca: Ca = None,
    tls_verify: Verify = None,
    as_json: Json = False,
) -> None:
    """Add a server. Its models are in Explore within seconds.

    An API key is asked for or read from standard input, never an argument, which others on this machine could see.
    """

    def work(client: "Client") -> int:
        from cli.servers import add, said_to

        said = said_to(kind.value, None, pool, slots, tls_ca, tls_verify)
        return add(client, name, {"url": url, **said}, ask_api_key, api_key_stdin, as_json)

    speak(work)


@backends.command("test")
def look_at_backends(
    names: Annotated[list[str], typer.Argument(metavar="NAME", help="As `list` shows them.", show_default=False)],
    as_json: Json = False,
) -> None:
    """See whether servers answer now.

    Also how fast, and how many models they have. Nothing is generated. The exit code is 1 where one of them does not answer.
    """

    def work(client: "Client") -> int:
        from cli.servers import test

        return test(client, names, as_json)

    speak(work)


@backends.command("change")
def change_backend(
    name: Name,
    url: Annotated[str | None, typer.Option(help="Another server's needs its API key again.")] = None,
    kind: Annotated[Kind | None, typer.Option(help="What it speaks.")] = None,
    pool: Annotated[str | None, typer.Option(help="Whose workers send questions there.")] = None,
    slots: Annotated[
        int | None, typer.Option(min=1, max=1024, help="Calls that one worker runs there at once.")
    ] = None,
    ask_api_key: AskKey = False,
    api_key_stdin: KeyStdin = False,
    no_api_key: Annotated[bool, typer.Option("--no-api-key", help="It needs none any more.")] = False,
    tls_ca: Ca = None,
    no_tls_ca: Annotated[bool, typer.Option("--no-tls-ca", help="Trust those that its machine trusts.")] = False,
    tls_verify: Verify = None,
    as_json: Json = False,
) -> None:
    """Change what is said, and nothing else. What stands in OLLAMANET_BACKENDS is changed there."""

    def work(client: "Client") -> int:
        from cli.servers import change, said_to

        said = said_to(kind.value if kind else None, url, pool, slots, tls_ca, tls_verify)
        removed = {one: None for one, gone in (("api_key", no_api_key), ("tls_ca", no_tls_ca)) if gone}
        return change(client, name, {**said, **removed}, ask_api_key, api_key_stdin, as_json)

    speak(work)


@backends.command("remove")
def remove_backends(
    names: Annotated[list[str], typer.Argument(metavar="NAME", help="As `list` shows them.", show_default=False)],
    yes: Yes = False,
    as_json: Json = False,
) -> None:
    """Send nothing more to these servers.

    Asks first. Answers that are being written go on; the models stay on the server.
    """

    def work(client: "Client") -> int:
        from cli.servers import remove

        return remove(client, names, yes, as_json)

    speak(work)
