"""Edges that die: streams go on elsewhere, and a question that is sent again runs once."""

import asyncio
import time

from tests.faults.row import Load, Plan, Row, next_events
from tests.faults.stand import Stand
from tests.faults.watching import Watch, question

EDGES = ("edge-1", "edge-2")
UPSTREAM = 0.15
"""Seconds within which an edge is killed after questions were sent: some are admitted, some published, some accepted by then."""


async def killed(stand: Stand, plan: Plan) -> Row:
    """`kill -9` of an edge: its streams go on at the other one."""
    row, people = Row("edge killed under its streams"), await stand.people(4)
    hit: list[tuple[Watch, float]] = []
    async with Load(row, people, plan.streams, [{"model": "paced", "max_tokens": 100}]) as load:
        for run in range(plan.runs):
            await asyncio.sleep(0.3 + plan.random.random())
            victim = plan.random.choice(EDGES) if plan.long else EDGES[run % 2]
            on_it = [one for one in load.running() if one.edge % 2 == EDGES.index(victim)]
            hit += [(one, time.time()) for one in on_it]
            stand.kill(victim)
            row.runs += 1
            await stand.restart(victim)
    row.figures["streams hit"] = len(hit)
    row.next_token_ms = next_events(hit)
    await row.settle(stand)
    return row


async def killed_while_asked(stand: Stand, plan: Plan) -> Row:
    """`kill -9` of an edge while questions are on their way: sent again under the same key, each runs once."""
    row, people = Row("edge killed while it is asked"), await stand.people(plan.streams)
    for run in range(plan.runs):
        victim = run % 2
        asked = [Watch(one, question(), "fast", 20, edge=victim) for one in people]
        row.watches += asked
        tasks = [asyncio.create_task(one.run()) for one in asked]
        await asyncio.sleep(plan.random.random() * UPSTREAM)
        stand.kill(EDGES[victim])
        await asyncio.gather(*tasks)
        row.runs += 1
        await stand.restart(EDGES[victim])
    row.figures["sent again"] = sum(bool(one.unanswered or one.cuts) for one in row.watches)
    await row.settle(stand)
    return row
