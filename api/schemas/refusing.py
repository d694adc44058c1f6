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


HARDWARE: dict[str, tuple[object, ...]] = {
    "num_gpu": (-1,),
    "main_gpu": (0,),
    "num_thread": (0,),
    "num_batch": (512,),
    "numa": (False,),
    "low_vram": (False,),
    "use_mmap": (),
    "use_mlock": (False,),
    "f16_kv": (True,),
    "vocab_only": (False,),
    "logits_all": (False,),
    "embedding_only": (False,),
}
"""Options about memory, processors and threads, with what asks for nothing: they would load a model anew for everybody who uses it."""


def refuse_hardware(extra: Mapping[str, object] | None, within: str) -> dict[str, object]:
    """What is left of those options. Raises Unsupported for the first of the machines'."""
    for name, neutral in HARDWARE.items():
        if (value := (extra or {}).get(name)) is not None and value not in neutral:
            place = within + name
            raise Unsupported(
                place, f"{place} is set by administrators, for everybody who uses the model: leave it out."
            )
    return {name: value for name, value in (extra or {}).items() if name not in HARDWARE}
