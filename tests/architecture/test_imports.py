"""Importing is free: no module of ours connects, listens, starts a thread or reads a setting by being imported."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
PACKAGES = ("api", "cli", "contracts", "infra", "workers")
WATCHED = """
import importlib, os, sys, threading

names = sys.argv[1:]
reads, opened, current = [], [], [""]

class Watched(dict):
    def __getitem__(self, name):
        note(name)
        return super().__getitem__(name)
    def get(self, name, default=None):
        note(name)
        return super().get(name, default)
    def copy(self):
        return Watched(self)

def note(name):
    if str(name).startswith("OLLAMANET_"):
        reads.append((current[0], name))

def audit(event, arguments):
    if event in ("socket.connect", "socket.bind", "subprocess.Popen", "sqlite3.connect"):
        opened.append((current[0], event))

os.environ = Watched(os.environ)
sys.addaudithook(audit)
for name in names:
    current[0] = name
    importlib.import_module(name)
assert not reads, reads
assert not opened, opened
assert threading.active_count() == 1, threading.enumerate()
"""


def modules() -> list[str]:
    """Every module of ours, `__main__` apart: running is what that one is for."""
    found = [path.relative_to(ROOT) for package in PACKAGES for path in (ROOT / package).rglob("*.py")]
    names = [".".join(path.with_suffix("").parts).removesuffix(".__init__") for path in found]
    return sorted(name for name in names if not name.endswith("__main__"))


def test_importing_every_module_has_no_effect() -> None:
    command = [sys.executable, "-W", "error", "-c", WATCHED, *modules()]
    wrong = {f"OLLAMANET_{name}": "nonsense" for name in ("PORT", "OPS_PORT", "LOG_LEVEL", "BACKENDS", "TOKEN_TIMEOUT")}
    out = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False, env={**os.environ, **wrong}
    )
    assert (out.returncode, out.stdout) == (0, ""), out.stderr[-3000:]


def test_the_dependency_rules_hold() -> None:
    command = [str(Path(sys.executable).parent / "lint-imports"), "--no-cache"]
    out = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert out.returncode == 0, out.stdout[-3000:]
