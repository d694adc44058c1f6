"""The table at the end, and the same as JSON."""

import json
import os
import platform
import subprocess
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from tests.faults.figures import percentile
from tests.faults.row import Row

HEADS = ("fault", "runs", "streams", "lost", "repeated", "stuck", "model calls", "next token p50", "p99 (ms)")

TOLD = 10
"""Findings of a row below the table; the file has all."""


def table(rows: Sequence[Row]) -> str:
    """Lines of aligned columns; what was found stands below."""
    cells = [HEADS, *(_cells(row) for row in rows)]
    widths = [max(len(line[column]) for line in cells) for column in range(len(HEADS))]
    lines = ["  ".join(_aligned(cell, widths[n], n) for n, cell in enumerate(line)) for line in cells]
    lines.insert(1, "-" * len(lines[0]))
    for row in rows:
        if row.figures:
            lines.append(f"{row.fault}: " + ", ".join(f"{name} {value}" for name, value in row.figures.items()))
        lines += [f"{row.fault}: {one}" for one in row.findings[:TOLD]]
        lines += [f"{row.fault}: and {len(row.findings) - TOLD} more"] if len(row.findings) > TOLD else []
    return "\n".join(lines)


def _cells(row: Row) -> tuple[str, ...]:
    counts = (row.runs, len(row.watches), row.number("lost"), row.number("repeated"), row.number("stuck"), row.calls)
    times = (percentile(row.next_token_ms, 0.5), percentile(row.next_token_ms, 0.99))
    return (row.fault, *map(str, counts), *("" if one is None else f"{one:.0f}" for one in times))


def _aligned(cell: str, width: int, column: int) -> str:
    return cell.ljust(width) if column == 0 else cell.rjust(width)


def keep(file: Path, rows: Sequence[Row], seed: int) -> None:
    """Write the rows with the machine, the seed and the commit they belong to."""
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False)
    whole = {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": commit.stdout.strip(),
        "seed": seed,
        "machine": {"cores": os.cpu_count(), "system": platform.platform(), "python": platform.python_version()},
        "rows": [_figures(row) for row in rows],
    }
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(whole, indent=2) + "\n")


def _figures(row: Row) -> dict[str, object]:
    return {
        "fault": row.fault,
        "runs": row.runs,
        "streams": len(row.watches),
        "lost": row.number("lost"),
        "repeated": row.number("repeated"),
        "stuck": row.number("stuck"),
        "model_calls": row.calls,
        "next_token_ms": {"p50": percentile(row.next_token_ms, 0.5), "p99": percentile(row.next_token_ms, 0.99)},
        **row.figures,
        "findings": [str(one) for one in row.findings],
    }
