"""`python -m tests.faults`: the long mode of the fault suite, on real servers with real processes.

Kills, freezes, cuts and empties things at random moments while people ask, and checks afterwards that every question
that was accepted ended in exactly one recorded outcome, that everybody saw that text, and that no call of the model is
unexplained. Prints a table; exits with 1 when a row of it shows anything lost, repeated or stuck, or missed a figure that a quiet
machine reaches.
"""

import argparse
import asyncio
import os
import signal
import sys
import tempfile
import time
from pathlib import Path

from tests.faults.faults import FAULTS, done
from tests.faults.report import keep, table
from tests.faults.row import Row
from tests.faults.stand import Stand, standing

SHOWN = 5
"""Findings of a row that are told at once; the table has all."""


def main() -> None:
    """Do the faults that the arguments name, all of them without any."""
    arguments = _arguments()
    for number in (signal.SIGTERM, signal.SIGINT):  # whoever ends it ends all that it started
        signal.signal(number, signal.default_int_handler)
    names = [one for one in FAULTS if not arguments.only or one in arguments.only]
    print(f"seed {arguments.seed}: {', '.join(names)}", flush=True)
    rows: list[Row] = []
    try:
        with (
            tempfile.TemporaryDirectory(prefix="ollamanet-faults-", ignore_cleanup_errors=True) as folder,
            standing(Path(folder)) as stand,
        ):
            asyncio.run(_do(stand, names, arguments, rows))
            if any(row.findings for row in rows) and arguments.keep_logs:
                _keep_logs(Path(folder), Path(arguments.keep_logs))
    except FileNotFoundError as error:
        sys.exit(str(error))
    except KeyboardInterrupt:
        print("interrupted", flush=True)
    print(f"\n{table(rows)}\n", flush=True)
    keep(Path(arguments.json), rows, arguments.seed)
    print(f"kept in {arguments.json}")
    sys.exit(len(rows) < len(names) or any(row.findings for row in rows))


def _arguments() -> argparse.Namespace:
    told = "\n".join(f"  {name:14} {(entry.fault.__doc__ or '').strip()}" for name, entry in FAULTS.items())
    parser = argparse.ArgumentParser(
        "python -m tests.faults", description=f"{__doc__}\n{told}", formatter_class=argparse.RawDescriptionHelpFormatter
    )
    seed = int(os.environ.get("FAULTS_SEED") or 1)
    parser.add_argument("--only", nargs="+", choices=FAULTS, metavar="FAULT", help="default: all")
    parser.add_argument("--kills", type=int, help="how often workers are killed (default: 200)")
    parser.add_argument("--seed", type=int, default=seed, help="of all random choices (default: FAULTS_SEED, else 1)")
    parser.add_argument("--short", action="store_true", help="as few runs as in the tests")
    parser.add_argument(
        "--json", default="build/faults.json", metavar="FILE", help="where the figures go (%(default)s)"
    )
    parser.add_argument("--keep-logs", metavar="FOLDER", help="copy the processes' logs there when something is wrong")
    return parser.parse_args()


async def _do(stand: Stand, names: list[str], arguments: argparse.Namespace, rows: list[Row]) -> None:
    await stand.answers()
    for name in names:
        began = time.monotonic()

        def say(words: str, name: str = name, began: float = began) -> None:
            print(f"{name}: {words} ({time.monotonic() - began:.0f} s)", flush=True)

        runs = arguments.kills if name == "kill" else None
        rows.append(await done(stand, name, arguments.seed, long=not arguments.short, say=say, runs=runs))
        say(f"done: {len(rows[-1].watches)} streams, {len(rows[-1].findings)} findings")
        for finding in rows[-1].findings[:SHOWN]:
            print(f"  {finding}", flush=True)
        await stand.whole()
    await stand.close()


def _keep_logs(folder: Path, target: Path) -> None:
    target.mkdir(parents=True, exist_ok=True)
    for file in folder.glob("*.log"):
        (target / file.name).write_bytes(file.read_bytes())


if __name__ == "__main__":
    main()
