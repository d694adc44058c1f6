"""The `ollamanet` command. Each command imports what it needs when it runs, so that `--help` answers at once."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from cli.acting import end, speak
from cli.api_keys import api_keys
from cli.backends import backends
from cli.commands import commands
from cli.letters import letters
from cli.models import models

if TYPE_CHECKING:
    from cli.client import Client

app = typer.Typer(
    name="ollamanet",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,  # plain help answers in half the time
    pretty_exceptions_enable=False,  # they would show local variables, and with them passwords
    help="Run OllamaNet and talk to it.",
)
keys = typer.Typer(
    no_args_is_help=True, rich_markup_mode=None, help="Signing keys and deployment secrets; keys of programs: api-keys."
)
app.add_typer(api_keys, name="api-keys")
app.add_typer(backends, name="backends")
app.add_typer(commands, name="commands")
app.add_typer(letters, name="dead-letters")
app.add_typer(keys, name="keys")
app.add_typer(models, name="models")


@app.command()
def up(
    host: Annotated[str | None, typer.Option(help="Address to listen on (OLLAMANET_HOST, 127.0.0.1).")] = None,
    port: Annotated[
        int | None, typer.Option(help="Port to listen on (OLLAMANET_PORT, 8080); 0 = any free one.")
    ] = None,
    data: Annotated[Path | None, typer.Option(help="Data folder (OLLAMANET_DATA).")] = None,
    backend: Annotated[
        str | None, typer.Option(help="A model server's URL, `local` (the small model) or `fake`.")
    ] = None,
    insecure: Annotated[bool, typer.Option("--insecure", help="Listen on a public address without TLS.")] = False,
    url_file: Annotated[Path | None, typer.Option(hidden=True)] = None,
) -> None:
    """Run the whole platform in this process, until Ctrl-C."""

    def work() -> NoReturn:
        from cli.up import up as run_platform

        options: dict[str, object] = {"host": host, "port": port, "data": data, "backend": backend}
        run_platform(options | ({"insecure": True} if insecure else {}), url_file)

    end(work)


@app.command()
def login(
    signup: Annotated[bool, typer.Option("--signup", help="Make the account first.")] = False,
    email: Annotated[str | None, typer.Option(envvar="OLLAMANET_EMAIL", help="Asked for when missing.")] = None,
    password_stdin: Annotated[
        bool, typer.Option("--password-stdin", help="Read the password from standard input.")
    ] = False,
) -> None:
    """Log in; the tokens are kept in a file that only you can read."""

    def work(client: "Client") -> int:
        from cli.accounts import enter

        known = enter(client, email, password_stdin, signup)
        typer.echo(f"Logged in to {client.url} as {known.email}.")
        return 0

    speak(work)


@app.command()
def logout() -> None:
    """End the session, here and at the platform."""

    def work(client: "Client") -> int:
        client.log_out()
        typer.echo(f"Logged out of {client.url}.")
        return 0

    speak(work)


@app.command()
def token() -> None:
    """Print an access token that lives: curl -H "Authorization: Bearer $(ollamanet token)" …"""

    def work(client: "Client") -> int:
        typer.echo(client.token())
        return 0

    speak(work)


@app.command()
def chat(
    question: Annotated[str | None, typer.Argument(help="Ask this and end; without it: a conversation.")] = None,
    model: Annotated[
        str | None, typer.Option("--model", "-m", help="Default: the first that the platform has.")
    ] = None,
    chat_id: Annotated[str | None, typer.Option("--chat", help="Go on with this chat.")] = None,
) -> None:
    """Ask, and see the answer as it is written. Ctrl-C cancels an answer."""

    def work(client: "Client") -> int:
        from cli.chat import chat as talk

        return talk(client, model, question, chat_id)

    speak(work)


@app.command()
def demo(question: Annotated[str | None, typer.Argument(help="What to ask.")] = None) -> None:
    """The whole journey: sign up, log in, ask, see the answer come, find it in the list."""

    def work() -> int:
        from cli.demo import QUESTION
        from cli.demo import demo as journey
        from cli.settings import ClientSettings
        from infra.process.failures import checked

        return journey(checked(ClientSettings).base_url, question or QUESTION)

    end(work)


@app.command()
def audit(
    actor: Annotated[str | None, typer.Option(help="Whose: an e-mail address, or an account's id.")] = None,
    action: Annotated[str | None, typer.Option(help="Of one kind: AddBackend, PullModel, ReplayDeadLetter, …")] = None,
    subject: Annotated[str | None, typer.Option(help="About one model, model server or dead letter.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=100_000, help="How many at most.")] = 30,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Who ordered what, and what came of it; the newest first. For administrators.

    In a pipe: a line each, fields between tabs (id, time, account, e-mail, action, subject, outcome, error, details).
    """

    def work(client: "Client") -> int:
        from cli.audit import list_them

        return list_them(client, {"actor": actor, "action": action, "subject": subject}, limit, as_json)

    speak(work)


@keys.command("new")
def new_key(file: Annotated[Path, typer.Argument(help="Where it goes; never overwritten.")]) -> None:
    """Make a signing key for OLLAMANET_JWT_KEY_FILE (Ed25519, PEM, mode 0600)."""

    def work() -> int:
        from cli.keys import new_key_file

        new_key_file(file)
        typer.echo(f"{file} is written: OLLAMANET_JWT_KEY_FILE={file.absolute()}")
        return 0

    end(work)


@keys.command("secrets")
def new_secrets_file(file: Annotated[Path, typer.Argument(help="Where it goes; never overwritten.")]) -> None:
    """Make a key for OLLAMANET_SECRETS_KEY_FILE, which back-ends' keys are encrypted with (mode 0600)."""

    def work() -> int:
        from cli.keys import write_new
        from infra.fernet.cipher import new_secrets_key

        write_new(file, f"{new_secrets_key()}\n".encode())
        typer.echo(f"{file} is written: OLLAMANET_SECRETS_KEY_FILE={file.absolute()}")
        return 0

    end(work)


@keys.command("deployment")
def deployment_secrets(folder: Annotated[Path, typer.Argument(help="Gets a folder for each service.")]) -> None:
    """Make every secret of infra/compose.yml that is missing."""

    def work() -> int:
        from cli.deployment import make_secrets

        for made in make_secrets(folder):
            typer.echo(f"{made} is written.")
        return 0

    end(work)


def main() -> None:
    """The command's entry point."""
    app()


if __name__ == "__main__":
    main()
