"""A Modelfile as Ollama's own command reads it: what `/api/create` takes instead of it since Ollama 0.5.5."""

import re
from dataclasses import dataclass, field

WORDS = ("from", "parameter", "template", "system", "license", "message", "adapter", "quantize")
LARGEST = 64 * 1024
_QUOTES = '"""'
_NUMBER = re.compile(r"-?\d+(\.\d+)?([eE][+-]?\d+)?")
ROLES = ("system", "user", "assistant")


class BadModelfile(Exception):
    """The text is no Modelfile that can be used here; the sentence says what, and on which line."""


@dataclass
class Modelfile:
    """What a Modelfile says. `base`: a model's name, or the URL of a GGUF file."""

    base: str = ""
    parameters: dict[str, object] = field(default_factory=dict[str, object])
    template: str | None = None
    system: str | None = None
    license: list[str] = field(default_factory=list[str])
    messages: list[dict[str, str]] = field(default_factory=list[dict[str, str]])
    stops: list[str] = field(default_factory=list[str])


def parse(text: str) -> Modelfile:
    """Raises BadModelfile."""
    if len(text.encode()) > LARGEST:
        raise BadModelfile(f"A Modelfile may have {LARGEST // 1024} KiB.")
    found = Modelfile()
    for number, word, rest in _instructions(text):
        _take(found, number, word, rest)
    if not found.base:
        raise BadModelfile("A Modelfile needs a line FROM, with a model or the https URL of a GGUF file.")
    return found


def _take(found: Modelfile, number: int, word: str, rest: str) -> None:
    match word:
        case "from":
            found.base = _base(number, rest)
        case "template":
            found.template = rest
        case "system":
            found.system = rest
        case "license":
            found.license.append(rest)
        case "parameter":
            _parameter(found, number, rest)
        case "message":
            role, _, content = rest.partition(" ")
            if role not in ROLES:
                raise BadModelfile(f"Line {number}: MESSAGE begins with one of {', '.join(ROLES)}.")
            found.messages.append({"role": role, "content": _unquoted(content.strip())})
        case _:
            raise BadModelfile(f"Line {number}: {word.upper()} is not supported here.")


def _base(number: int, rest: str) -> str:
    if rest.startswith(("/", "./", "../", "~")) or re.match(r"[A-Za-z]:\\", rest):
        sentence = (
            "a file of your machine is not on the back-end's: give a model's name or the https URL of a GGUF file"
        )
        raise BadModelfile(f"Line {number}: {sentence}.")
    return rest


def _parameter(found: Modelfile, number: int, rest: str) -> None:
    name, _, value = rest.partition(" ")
    value = _unquoted(value.strip())
    if not value:
        raise BadModelfile(f"Line {number}: PARAMETER needs a name and a value.")
    if name == "stop":  # the one that may stand several times
        found.stops.append(value)
        found.parameters[name] = found.stops
    else:
        found.parameters[name] = _typed(value)


def _typed(value: str) -> object:
    if value in ("true", "false"):
        return value == "true"
    if _NUMBER.fullmatch(value):
        return float(value) if any(one in value for one in ".eE") else int(value)
    return value


def _instructions(text: str) -> list[tuple[int, str, str]]:
    """Each instruction with the number of its line; a value in triple quotes goes over several lines."""
    found: list[tuple[int, str, str]] = []
    lines = iter(enumerate(text.splitlines(), 1))
    for number, line in lines:
        stripped = line.strip()
        if not stripped or stripped.startswith("#"):
            continue
        word, _, rest = stripped.partition(" ")
        if word.lower() not in WORDS:
            raise BadModelfile(f"Line {number}: {word[:40]!r} is no instruction of a Modelfile.")
        rest = rest.strip()
        if _QUOTES in rest and rest.count(_QUOTES) == 1:
            more = [rest]
            for _, following in lines:
                more.append(following)
                if _QUOTES in following:
                    break
            else:
                raise BadModelfile(f"Line {number}: the closing {_QUOTES} is missing.")
            rest = "\n".join(more)
        found.append((number, word.lower(), rest if word.lower() in ("message", "parameter") else _unquoted(rest)))
    return found


def _unquoted(value: str) -> str:
    for quote in (_QUOTES, '"'):
        if len(value) >= 2 * len(quote) and value.startswith(quote) and value.endswith(quote):
            return value[len(quote) : -len(quote)]
    return value
