"""Why a process cannot start, told in one sentence."""

from collections.abc import Callable
from typing import TypeVar

from pydantic import ValidationError
from pydantic_settings import SettingsError

T = TypeVar("T")
PREFIX = "OLLAMANET_"
WRONG_SETTING = 2
"""The exit code of a process that was started wrongly."""
_SECRET_WORDS = ("KEY", "PASSWORD", "URL", "BACKENDS", "SECRET")


class CannotStart(Exception):
    """The process is asked for something that cannot be; the message is one sentence that says what helps."""


def checked(read: Callable[[], T]) -> T:
    """What `read` gives (`checked(EdgeSettings)`); its ValidationError becomes CannotStart with one sentence."""
    try:
        return read()
    except ValidationError as error:
        raise CannotStart("; ".join(_sentence(dict(one)) for one in error.errors(include_url=False)) + ".") from error
    except SettingsError as error:
        raise CannotStart(f"A setting is not valid JSON: {_field(str(error))}.") from error


def _sentence(problem: dict[str, object]) -> str:
    location = problem.get("loc")
    parts = [str(part) for part in location] if isinstance(location, tuple) else []
    message = str(problem.get("msg")).removeprefix("Value error, ").removeprefix("Input should be ").rstrip(".")
    if not parts:  # a rule about several settings says in its own words which
        return message
    name = environment_name(parts[0])
    within = f" ({'.'.join(parts[1:])})" if parts[1:] else ""
    if problem.get("type") == "missing" and not within:
        return f"{name} is not set and has no default"
    value = problem.get("input")
    secret = any(word in name.upper() for word in _SECRET_WORDS)
    shown = f", not {value!r}" if isinstance(value, str | int | float) and not secret else ""
    return (
        f"{name}{within} is wrong: it should be {message}{shown}"
        if _is_shape(problem)
        else f"{name}{within} is wrong: {message}"
    )


def _is_shape(problem: dict[str, object]) -> bool:
    return str(problem.get("msg")).startswith("Input should be ")


def environment_name(field: str) -> str:
    """The environment variable of a settings field."""
    name = field.upper()
    return name if name.startswith(PREFIX) else PREFIX + name


def _field(sentence: str) -> str:
    quoted = sentence.split('"')
    return environment_name(quoted[1]) if len(quoted) > 1 else "see the environment"
