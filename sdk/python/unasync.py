"""`python unasync.py` makes src/ollamanet/_sync.py of _async.py; `--check` says whether it is what would be made."""

import re
import subprocess
import sys
from pathlib import Path

SOURCE = Path(__file__).parent / "src/ollamanet/_async.py"
TARGET = SOURCE.with_name("_sync.py")
WORDS = (
    (r"Callable\[\[\], Awaitable\[httpx\.Response\]\]", "Callable[[], httpx.Response]"),
    (r"The client for asyncio\. `unasync\.py` makes `_sync\.py` of it: change this one\.",
     "The client that blocks. Made of `_async.py` by `unasync.py`: change that one."),
    (r"import asyncio\n", "import threading\nimport time\n"),
    (r"from collections\.abc import AsyncGenerator, Awaitable, Callable, Sequence",
     "from collections.abc import Callable, Generator, Sequence"),
    (r"asyncio\.sleep", "time.sleep"),
    (r"asyncio\.Lock", "threading.Lock"),
    (r"AsyncGenerator\[([^\n]*), None\]", r"Generator[\1, None, None]"),
    (r"\basync (def|for|with)\b", r"\1"),
    (r"\bawait ", ""),
    (r"__aenter__", "__enter__"), (r"__aexit__", "__exit__"), (r"__aiter__", "__iter__"),
    (r"\b(aclose|aread|aiter_bytes)\b", lambda found: found[1][1:]),
    (r"\b(_?)Async(OllamaNet|Reply|Client|Opened)\b", r"\1\2"),
    (r"httpx\.AsyncClient", "httpx.Client"),
)  # fmt: skip


def made() -> str:
    """The blocking client."""
    text = SOURCE.read_text("utf-8")
    for old, new in WORDS:
        text = re.sub(old, new, text)
    ruff = [sys.executable, "-m", "ruff", "format", "-"]
    return subprocess.run(ruff, input=text, capture_output=True, text=True, check=True).stdout


if __name__ == "__main__":
    if "--check" in sys.argv:
        sys.exit(
            0
            if TARGET.read_text("utf-8") == made()
            else "src/ollamanet/_sync.py is not what `python unasync.py` makes."
        )
    TARGET.write_text(made(), "utf-8")
