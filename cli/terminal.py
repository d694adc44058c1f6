"""The person at the terminal: told things, and asked."""

import sys

from rich.console import Console

from infra.process.failures import CannotStart


def say(sentence: str) -> None:
    """To the person; what a pipe reads stays free of it."""
    (sys.stdout if sys.stdout.isatty() else sys.stderr).write(sentence + "\n")


def agreed(question: str) -> bool:
    """Whether the person says yes. CannotStart where nobody is there."""
    if not sys.stdin.isatty():
        raise CannotStart(f"{question} There is nobody to ask: say --yes.")
    sys.stderr.write(f"{question} [y/N] ")
    sys.stderr.flush()
    if sys.stdin.readline().strip().lower() in ("y", "yes"):
        return True
    sys.stderr.write("Nothing was changed.\n")
    return False


def console() -> Console:
    """Where tables go."""
    return Console(highlight=False)
