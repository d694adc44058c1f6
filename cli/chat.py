"""`ollamanet chat`: ask in the terminal, see the answer as it is written."""

import sys

from rich.console import Console
from rich.markup import escape

from cli.client import Client, Refused
from cli.talking import Talk

HELP = "Ctrl-C cancels an answer. /new begins a new chat, /model NAME changes the model, /quit (or Ctrl-D) ends."


def chat(client: Client, model: str | None, question: str | None, chat_id: str | None = None) -> int:
    """One question, or one after another until the input ends. The exit code: 0, or 1 where an only answer failed."""
    console = Console(highlight=False)
    chosen = model or first_model(client)
    talk = Talk(client, console, chat_id)
    if question is not None:
        return 0 if talk.ask(chosen, question).name == "completed" else 1
    if sys.stdin.isatty():
        console.print(f"[bold]{escape(chosen)}[/bold]  [dim]{escape(HELP)}[/dim]")
    _converse(talk, chosen, console)
    return 0


def _converse(talk: Talk, model: str, console: Console) -> None:
    while (line := _line()) is not None:
        word, _, rest = line.strip().partition(" ")
        match word:
            case "":
                continue
            case "/quit" | "/exit":
                return
            case "/new":
                talk.chat_id = None
            case "/model" if rest:
                model = rest.strip()
            case "/help" | "/model":
                console.print(HELP, markup=False)
            case _:
                _ask(talk, model, line, console)


def _ask(talk: Talk, model: str, content: str, console: Console) -> None:
    try:
        talk.ask(model, content)
    except Refused as refused:  # the chat goes on: another question may be welcome
        console.print(f"[red]{escape(str(refused))}[/red]")
    except KeyboardInterrupt:
        console.print()


def _line() -> str | None:
    """The next line a person types; None at the end of the input or at Ctrl-C."""
    try:
        return input("> " if sys.stdin.isatty() else "")
    except (EOFError, KeyboardInterrupt):
        return None


def first_model(client: Client) -> str:
    """The first model that answers questions now. Refused where there is none."""
    models = client.get("/api/models")["items"]
    for model in models:
        if model.get("status") != "unavailable" and "chat" in model.get("capabilities", ("chat",)):
            return str(model["name"])
    raise Refused("no_model", "The platform has no model now: start a model server, or look at its log.")
