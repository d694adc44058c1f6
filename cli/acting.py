"""How every command runs: its work, and the exit code and sentence that it ends with."""

import sys
from collections.abc import Callable
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from cli.client import Client


def speak(work: "Callable[[Client], int]") -> None:
    """Do something with the platform that this environment names."""

    def connected() -> int:
        from cli.client import Client
        from cli.settings import ClientSettings
        from cli.tokens import TokenFile
        from infra.process.failures import checked

        with Client(checked(ClientSettings).base_url, TokenFile()) as client:
            return work(client)

    end(connected)


def end(work: Callable[[], int]) -> None:
    """Exit with the work's code; what it cannot do is one sentence on standard error."""
    from cli.endings import ENDINGS, sentence_of

    try:
        code = work()
    except ENDINGS as error:
        code, sentence = sentence_of(error)
        typer.echo(sentence, err=True)
    sys.exit(code)
