"""A deploy: every process is asked to end and started again, one after another, under load."""

import asyncio
import signal

from tests.eventually import eventually
from tests.faults.row import Load, Plan, Row
from tests.faults.stand import Stand

SOME = ["edge-2", "inference-1", "history"]
"""One of each kind that a stream and its record depend on, for the short mode."""
ENDED_WITHIN = 40.0
"""Seconds: OLLAMANET_DRAIN is 30."""


async def rolling(stand: Stand, plan: Plan) -> Row:
    """SIGTERM and a new start of every process, one after another: nobody notices more than a resumed stream."""
    row, people = Row("rolling restart of everything"), await stand.people(4)
    names = [one for one in stand.platform.processes if one != "fake"] if plan.long else SOME
    async with Load(row, people, plan.streams, [{"model": "paced", "max_tokens": 100}]):
        for _ in range(plan.runs):
            for name in names:
                stand.signal(name, signal.SIGTERM)
                await eventually(lambda one=name: stand.ended(one) is not None, ENDED_WITHIN)
                assert stand.ended(name) == 0, f"{name} ended with {stand.ended(name)}"
                await stand.restart(name)
                await asyncio.sleep(0.2)
                row.runs += 1
    row.figures["resumed"] = sum(bool(one.cuts) for one in row.watches)
    await row.settle(stand)
    return row
