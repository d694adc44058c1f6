"""The clients' own environments: made where they are missing or their lock file is another one. `python -m tests.conformance.environments`."""

import hashlib
import shutil
import subprocess
import sys
import time
from functools import cache
from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
MADE = ROOT / ".tools" / "conformance"
PYTHON = ("python_openai", "python_ollama", "python_llm")
NODE = "node"
NPM = ROOT / ".ci" / "npm"


def missing(environment: str) -> str | None:
    """Why the clients of an environment cannot be run now, in a sentence."""
    return None if _is_made(environment) else f"tests/conformance/{environment} is not installed: run make conformance."


def command(environment: str, program: str) -> list[str]:
    """What runs one of its programs, told by lines of JSON."""
    path = str(HERE / environment / program)
    if environment == NODE:
        return [_node(), str(HERE / NODE / "running.mjs"), path]
    return [str(MADE / environment / "bin" / "python"), "-P", str(HERE / "running.py"), path]


@cache
def _node() -> str:
    """The one that npm belongs to: this machine's, or the one that was fetched because that is missing or too old."""
    here = subprocess.run([NPM, "is-here"], check=False, capture_output=True).returncode == 0
    return "node" if here else str(ROOT / ".tools" / "node" / "bin" / "node")


def _lock(environment: str) -> Path:
    return HERE / environment / ("package-lock.json" if environment == NODE else "requirements.lock")


def _mark(environment: str) -> Path:
    """Holds the hash of the lock file that was installed."""
    return HERE / NODE / "node_modules" / ".made" if environment == NODE else MADE / environment / ".made"


def _hash(environment: str) -> str:
    return hashlib.sha256(_lock(environment).read_bytes()).hexdigest()


def _is_made(environment: str) -> bool:
    mark = _mark(environment)
    return mark.exists() and mark.read_text() == _hash(environment)


def _make(environment: str) -> None:
    if environment == NODE:
        subprocess.run([NPM, "ci", "--silent"], cwd=HERE / NODE, check=True)
        return
    uv = shutil.which("uv") or str(ROOT / ".tools" / "uv" / "bin" / "uv")
    folder = MADE / environment
    venv = [uv, "venv", "--quiet", "--allow-existing", "--no-project", "--python", sys.executable, folder]
    sync = [uv, "pip", "sync", "--quiet", "--python", folder, "--require-hashes", "--compile-bytecode"]
    subprocess.run(venv, check=True)
    subprocess.run([*sync, _lock(environment)], check=True)


def main() -> None:
    """Make those that are missing, a line for each."""
    MADE.mkdir(parents=True, exist_ok=True)
    for environment in (*PYTHON, NODE):
        if _is_made(environment):
            continue
        sys.stdout.write(f"Conformance: installing tests/conformance/{environment} ... ")
        sys.stdout.flush()
        began = time.monotonic()
        try:
            _make(environment)
        except subprocess.CalledProcessError as error:
            sys.exit(f"\nIt could not be installed, see the lines above: {error}")
        _mark(environment).write_text(_hash(environment))
        sys.stdout.write(f"{time.monotonic() - began:.0f} s\n")


if __name__ == "__main__":
    main()
