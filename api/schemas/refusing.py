"""What other APIs' clients may ask for and this platform does not do: refused by name, where it asks for more than is done anyway."""

from collections.abc import Mapping, Sequence
from typing import Any

from api.errors import Unsupported

LONGEST_NAME = 100
"""Characters of a client's own name for something, in an answer."""


def refuse_unknown(
    extra: Mapping[str, object] | None, neutral: Mapping[str, tuple[object, ...]], within: str = ""
) -> None:
    """Raises Unsupported for the first that is neither null nor has a neutral value. `within`: what stands before the names."""
    for name, value in (extra or {}).items():
        if value is not None and value not in neutral.get(name, ()):
            shown = within + name[:LONGEST_NAME]
            raise Unsupported(shown, f"{shown} is not supported here: leave it out.")


def refuse_other_tools(tools: Sequence[Mapping[str, Any]]) -> None:
    """Raises Unsupported for the first that is no function."""
    for number, tool in enumerate(tools):
        if tool.get("type") != "function" or not isinstance(tool.get("function"), dict):
            raise Unsupported(f"tools[{number}]", f"tools[{number}] is no function, and only these can be called.")
