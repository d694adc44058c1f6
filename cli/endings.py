"""How a command ends that could not do its work: an exit code and one sentence."""

from cli.client import LoggedOut, Refused, Unreachable
from cli.typed import typed
from infra.process.failures import WRONG_SETTING, CannotStart

INTERRUPTED = 130
"""128 + SIGINT."""
ENDINGS = (CannotStart, Refused, LoggedOut, Unreachable, KeyboardInterrupt, EOFError)
"""What ends a command without being a fault of ours."""


def sentence_of(error: BaseException) -> tuple[int, str]:
    """The exit code and the sentence of an error."""
    match error:
        case CannotStart():
            return WRONG_SETTING, str(error)
        case Refused(code="not_permitted"):
            return 1, f"{error} Log in as one: {typed('login')}."
        case Refused():
            return 1, str(error)
        case LoggedOut():
            return 1, f"You are not logged in: {typed('login')} (or {typed('login --signup')})."
        case Unreachable():
            return 1, f"{error} Start one with {typed('up')}, or name another with OLLAMANET_URL."
        case _:
            return INTERRUPTED, ""
