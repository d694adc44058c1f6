"""Commands as they can be typed here and now."""

import os
import shutil
import sys
from pathlib import Path


def typed(arguments: str, url: str | None = None) -> str:
    """`ollamanet <arguments>` as this shell finds it; with OLLAMANET_URL before it where the address is not the usual one."""
    command = f"{program()} {arguments}"
    return f"OLLAMANET_URL={url} {command}" if url else command


def program() -> str:
    """`ollamanet` where the PATH leads to this very installation, else the path of its script, shortest form."""
    script = Path(sys.executable).parent / "ollamanet"
    found = shutil.which("ollamanet")
    if found and Path(found).resolve() == script.resolve():
        return "ollamanet"
    if not script.exists():
        return f"{_short(Path(sys.executable))} -m cli.main"
    return _short(script)


def _short(path: Path) -> str:
    relative = os.path.relpath(path)
    return str(path) if relative.startswith("..") else relative
