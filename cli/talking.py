"""One question and its answer in a terminal: printed as it comes, cancelled with Ctrl-C, whole at the end."""

import unicodedata
from collections.abc import Iterator

from rich.console import Console

from cli.client import Client
from cli.sse import Event
from contracts.generation import Completed


class Talk:
    """Prints an answer. `chat_id`: the chat that the next question belongs to."""

    def __init__(self, client: Client, console: Console, chat_id: str | None = None) -> None:
        self._client = client
        self._console = console
        self.chat_id = chat_id

    def ask(self, model: str, content: str) -> Event:
        """Ask and print; the event that ended it. Ctrl-C cancels the generation and waits for its end."""
        body: dict[str, object] = {"model": model, "content": content}
        if self.chat_id:
            body["chat_id"] = self.chat_id
        progress = _Progress()
        try:
            return self._shown(self._client.ask(body), progress)
        except KeyboardInterrupt:
            if not progress.generation:
                raise
            return self._cancelled(progress)

    def _cancelled(self, progress: "_Progress") -> Event:
        self._client.post(f"/api/generations/{progress.generation}/cancel")
        return self._shown(self._client.follow(progress.generation, progress.last), progress)

    def _shown(self, events: Iterator[Event], progress: "_Progress") -> Event:
        event = Event("failed", {"code": "lost", "message": "The stream ended without an end."})
        for event in events:
            progress.see(event)
            if event.name == "accepted":
                self.chat_id = event.text("chat_id")
            self._print(event)
        return event

    def _print(self, event: Event) -> None:
        match event.name:
            case "token":
                self._write(event.text("text"))
            case "thinking":
                self._write(event.text("text"), "dim")
            case "restarted":
                self._console.print("\n[dim]The answer begins again:[/dim]")
            case "completed":
                self._console.print()
            case "cancelled":
                self._console.print("\n[dim]Cancelled.[/dim]")
            case "failed":
                self._console.print(f"\n[red]It failed ({event.text('code')}):[/red] ", end="")
                self._write(event.text("message") + "\n")
            case _:
                pass

    def _write(self, text: str, style: str | None = None) -> None:
        if style:
            self._console.print(printable(text), end="", markup=False, soft_wrap=True, style=style)
        else:  # as it is: the console would turn tabs into blanks
            self._console.file.write(printable(text))
            self._console.file.flush()


class _Progress:
    """How far a generation came, for whoever goes on with it."""

    def __init__(self) -> None:
        self.generation = ""
        self.last: str | None = None

    def see(self, event: Event) -> None:
        self.generation = self.generation or event.text("generation_id")
        self.last = event.id or self.last


def figures(end: Event) -> str:
    """The figures of a completed answer, in a line; empty for another end."""
    if end.name != "completed":
        return ""
    whole = Completed.model_validate(end.data)
    first, rate = whole.timings.ttft_ms, whole.timings.tokens_per_second
    return f"{whole.usage.output_tokens} tokens, the first after {first} ms, {rate:.0f} tokens/s"


def printable(text: str) -> str:
    """A model's text without what would steer the terminal (escape sequences, bells)."""
    return "".join(one for one in text if one in "\n\t" or unicodedata.category(one) != "Cc")
