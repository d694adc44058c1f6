"""A server that is restarted under running streams."""

import asyncio
import time
from collections.abc import Sequence
from itertools import pairwise

from tests.eventually import eventually
from tests.faults.ledger import Allowed, Finding
from tests.faults.row import Plan, Row, ask_all
from tests.faults.stand import Stand
from tests.faults.watching import Watch, question

ANSWERED_WITHIN = 10.0
"""Seconds until an edge must have said that it cannot take a question now."""


async def _restarted(stand: Stand, plan: Plan, name: str, *, refuses: bool) -> Row:
    """Nobody's answer is lost, changed or run again; what is asked meanwhile (`refuses`) is refused and leaves nothing."""
    row, people = Row(f"{name} restarted"), await stand.people(4)
    late: list[Watch] = []
    took = pause = 0.0
    for _ in range(plan.runs):
        tasks = await ask_all(row, people, plan.streams, model="paced", max_tokens=150)
        asked = row.watches[-plan.streams :]
        await eventually(lambda them=asked: all(one.tokens for one in them))
        began = time.monotonic()
        await asyncio.to_thread(stand.servers[name].stop)
        try:
            if refuses:
                late.append(await Watch(people[0], question(), "fast", 20, insists=False).run(ANSWERED_WITHIN))
        finally:
            await asyncio.to_thread(stand.servers[name].start)
        took = max(took, time.monotonic() - began)
        pause = max(pause, _longest_pause(await asyncio.gather(*tasks)))
        row.runs += 1
    row.watches += late
    row.findings += [Finding("stuck", None, f"not refused: {one}") for one in late if not one.told_to_come_back]
    row.figures |= {"away for at most (s)": round(took, 1), "longest pause": round(pause, 1)}
    await row.settle(stand, Allowed(calls=1))
    await stand.answers()
    return row


def _longest_pause(watches: Sequence[Watch]) -> float:
    """Of the streams, in seconds."""
    pauses = [after.at - before.at for one in watches for before, after in pairwise(one.seen)]
    return max(pauses, default=0.0)


async def rabbitmq(stand: Stand, plan: Plan) -> Row:
    """The broker is restarted."""
    return await _restarted(stand, plan, "rabbitmq", refuses=True)


async def redis(stand: Stand, plan: Plan) -> Row:
    """Redis is restarted."""
    return await _restarted(stand, plan, "redis", refuses=True)


async def mongo(stand: Stand, plan: Plan) -> Row:
    """The store is restarted."""
    return await _restarted(stand, plan, "mongo", refuses=False)
