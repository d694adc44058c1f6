"""The Lua scripts, by name: what Redis does in one step. `-- with prelude.lua` in a script's first line puts that before it."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

FOLDER = Path(__file__).parent / "scripts"
PRELUDE = "prelude"


@dataclass(frozen=True)
class Script:
    """Its text, and the SHA-1 by which Redis knows it."""

    name: str
    text: str
    sha: str


@cache
def scripts(*names: str) -> Mapping[str, Script]:
    """The scripts of these names; all of them for none."""
    found = names or tuple(sorted(path.stem for path in FOLDER.glob("*.lua") if path.stem != PRELUDE))
    return {name: _script(name) for name in found}


def _script(name: str) -> Script:
    text = _text(name)
    if text.startswith(f"-- with {PRELUDE}.lua"):
        text = _text(PRELUDE) + text
    return Script(name, text, hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest())


def _text(name: str) -> str:
    return (FOLDER / f"{name}.lua").read_text("utf-8")
