"""`python -m benchmarks [first-token] [streams] [catalog] …`: measure, beside the back-end asked directly in the same run, and keep the figures.

Everything runs on this machine: the platform, its servers, the fake back-end and the client. Compare ratios, not times.
"""

import argparse
import asyncio
import json
from collections.abc import Callable, Coroutine

from benchmarks.catalog import catalog
from benchmarks.figures import keep
from benchmarks.measures import Target, accept, first_token, streams
from benchmarks.page import page
from benchmarks.platform import running

Measure = Callable[[Target], Coroutine[None, None, dict[str, object]]]

MEASURES: dict[str, tuple[str, Measure]] = {
    "first-token": ("time to first token that the platform adds, one question at a time", first_token),
    "accept": ("a request until `accepted` on the wire, 50 a second", accept),
    "streams": ("64 streams of 50 tokens a second", lambda target: streams(target, 64, 150, "paced")),
    "burst": ("200 streams at once, 50 tokens a second", lambda target: streams(target, 200, 100, "paced")),
    "unpaced": ("64 streams as fast as they go", lambda target: streams(target, 64, 300, "fast")),
}
ALONE: dict[str, tuple[str, Callable[[], Coroutine[None, None, dict[str, object]]]]] = {
    "catalog": (
        "the catalog: a look at 20 back-ends of 200 models, its cost at rest, a new model until everybody sees it",
        catalog,
    ),
    "page": ("the chat page in headless Chromium: size, first paint, 10,000 messages, 100 tokens a second", page),
}
"""With a platform of their own."""


def main() -> None:
    """Measure what the arguments name, all of it without any."""
    told = "\n".join(f"  {name:12} {what}" for name, (what, _) in [*MEASURES.items(), *ALONE.items()])
    parser = argparse.ArgumentParser(
        "python -m benchmarks", description=f"{__doc__}\n{told}", formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("measures", nargs="*", choices=[*MEASURES, *ALONE, []], metavar="measure", help="default: all")
    wanted = parser.parse_args().measures or [*MEASURES, *ALONE]
    together = [name for name in wanted if name in MEASURES]
    if together:
        with running() as target:
            for name in together:
                what, measure = MEASURES[name]
                _measured(name, what, measure(target))
    for name in wanted:
        if name in ALONE:
            what, measure_alone = ALONE[name]
            _measured(name, what, measure_alone())


def _measured(name: str, what: str, figures: Coroutine[None, None, dict[str, object]]) -> None:
    print(f"{name}: {what} …", flush=True)
    found = asyncio.run(figures)
    file = keep(name, found)
    print(json.dumps(found, indent=2))
    print(f"kept in {file}\n", flush=True)


if __name__ == "__main__":
    main()
