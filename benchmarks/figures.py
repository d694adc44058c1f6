"""Figures: percentiles, processor time, and the file that a result is kept in."""

import json
import os
import platform
import subprocess
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

RESULTS = Path(__file__).parent / "results"
_TICK = os.sysconf("SC_CLK_TCK")


def percentiles(values: Sequence[float]) -> dict[str, float]:
    """p50, p95, p99 and the highest, in the unit of the values."""
    ordered = sorted(values)
    at = {"p50": 0.50, "p95": 0.95, "p99": 0.99, "max": 1.0}
    return {name: round(ordered[min(len(ordered) - 1, int(len(ordered) * q))], 3) for name, q in at.items()}


def cpu_seconds(pids: Sequence[int]) -> float:
    """Processor seconds, user and system, that these processes and all their descendants used so far (Linux)."""
    children: dict[int, list[int]] = {}
    used: dict[int, float] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            _read(entry, children, used)
    waiting, seen = list(pids), set[int]()
    while waiting:
        pid = waiting.pop()
        if pid not in seen:
            seen.add(pid)
            waiting.extend(children.get(pid, ()))
    return sum(used.get(pid, 0.0) for pid in seen)


def _read(entry: Path, children: dict[int, list[int]], used: dict[int, float]) -> None:
    try:
        fields = (entry / "stat").read_text().rpartition(")")[2].split()
    except OSError:  # it ended while we looked
        return
    pid = int(entry.name)
    children.setdefault(int(fields[1]), []).append(pid)
    used[pid] = (int(fields[11]) + int(fields[12])) / _TICK


def keep(name: str, figures: dict[str, object]) -> Path:
    """Write a result with the machine and the commit it belongs to; gives the file."""
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False)
    now = datetime.now(UTC)
    whole = {
        "benchmark": name,
        "at": now.isoformat(timespec="seconds"),
        "commit": commit.stdout.strip(),
        "machine": {"cores": os.cpu_count(), "system": platform.platform(), "python": platform.python_version()},
        **figures,
    }
    RESULTS.mkdir(exist_ok=True)
    file = RESULTS / f"{name}-{now:%Y%m%dT%H%M%S}.json"
    file.write_text(json.dumps(whole, indent=2) + "\n")
    return file
