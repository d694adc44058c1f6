"""`python -m benchmarks [first-token] [streams] [burst]`: measure, beside the back-end asked directly in the same run, and keep the figures.

Everything runs on this machine: the platform, its servers, the fake back-end and the client. Compare ratios, not times.
"""

import argparse
import asyncio
import json
from collections.abc import Awaitable, Callable

from benchmarks.figures import keep
from benchmarks.measures import Target, accept, first_token, streams
from benchmarks.platform import running

Measure = Callable[[Target], Awaitable[dict[str, object]]]

MEASURES: dict[str, tuple[str, Measure]] = {
    "first-token": ("time to first token that the platform adds, one question at a time", first_token),
    "accept": ("a request until `accepted` on the wire, 50 a second", accept),
    "streams": ("64 streams of 50 tokens a second", lambda target: streams(target, 64, 150, "paced")),
    "burst": ("200 streams at once, 50 tokens a second", lambda target: streams(target, 200, 100, "paced")),
    "unpaced": ("64 streams as fast as they go", lambda target: streams(target, 64, 300, "fast")),
}


def main() -> None:
    """Measure what the arguments name, all of it without any."""
    told = "\n".join(f"  {name:12} {what}" for name, (what, _) in MEASURES.items())
    parser = argparse.ArgumentParser(
        "python -m benchmarks", description=f"{__doc__}\n{told}", formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("measures", nargs="*", choices=[*MEASURES, []], metavar="measure", help="default: all")
    wanted = parser.parse_args().measures or list(MEASURES)
    with running() as target:
        for name in wanted:
            what, measure = MEASURES[name]
            print(f"{name}: {what} …", flush=True)
            figures = asyncio.run(_measured(measure, target))
            file = keep(name, figures)
            print(json.dumps(figures, indent=2))
            print(f"kept in {file}\n", flush=True)


async def _measured(measure: Measure, target: Target) -> dict[str, object]:
    return await measure(target)


if __name__ == "__main__":
    main()
