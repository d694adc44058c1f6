"""What the fake back-end makes of a format and of tools: the smallest value that a JSON schema asks for, and calls with such arguments."""

import json
from collections.abc import Mapping, Sequence
from typing import cast

PLAIN: dict[object, object] = {"integer": 1, "number": 1.5, "boolean": True, "null": None}


def example(schema: object) -> object:
    """A value that fits, as far as types, properties, items, enums and constants go; anything else is text."""
    if not isinstance(schema, Mapping):
        return "text"
    asked = cast(Mapping[str, object], schema)
    if "const" in asked:
        return asked["const"]
    if values := asked.get("enum"):
        return cast(Sequence[object], values)[0]
    kind = asked.get("type")
    if kind == "object":
        properties = cast(Mapping[str, object], asked.get("properties") or {})
        return {name: example(one) for name, one in properties.items()}
    if kind == "array":
        return [example(asked.get("items"))]
    return PLAIN.get(kind, "text")


def shaped(wanted: object) -> list[str]:
    """The tokens of JSON in that format: a schema, or anything else for any JSON."""
    text = json.dumps(example(wanted) if isinstance(wanted, Mapping) else {"said": "text"})
    return [text[at : at + 4] for at in range(0, len(text), 4)]


def calls(tools: Sequence[Mapping[str, object]]) -> list[tuple[str, object]]:
    """Name and arguments of one call of each tool."""
    functions = [cast(Mapping[str, object], one["function"]) for one in tools]
    return [(str(one["name"]), example(one.get("parameters") or {"type": "object"})) for one in functions]
