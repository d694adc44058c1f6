"""Cancelled while queued, before the first word, and between two tokens."""

import asyncio
import time

from tests.eventually import eventually
from tests.faults.figures import percentile
from tests.faults.ledger import Allowed
from tests.faults.row import Plan, Row
from tests.faults.stand import WORKERS, Stand
from tests.faults.watching import Watch, question

CLOSED_MS = 100.0
"""From the word to the back-end's closed connection."""
CANCELLED = Allowed(ends=("cancelled",))


async def cancelled(stand: Stand, plan: Plan) -> Row:
    """Stopped by its person on another edge: the back-end's connection closes, what was said is recorded as cancelled."""
    row, people = Row("cancelled"), await stand.people(3)
    told: dict[str, float] = {}
    for run in range(plan.runs):
        for model in ("paced", "silent"):
            watch = Watch(people[run % 3], question(), model, 400, run)
            row.watches.append(watch)
            task = asyncio.create_task(watch.run())
            await _runs(stand, watch, plan.random.randint(1, 15) if model == "paced" else 0)
            told[watch.content] = await cancel(watch)
            await task
        row.runs += 2
    await row.settle(stand, CANCELLED)
    calls = await stand.evidence.calls(row.watches)
    closed = [
        float(str(calls[content][0]["ended_at"])) - at
        for content, at in told.items()
        if calls[content][0].get("ended_at")
    ]
    row.reaches(plan, "back-end closed p99 (ms)", percentile([one * 1000 for one in closed], 0.99), most=CLOSED_MS)
    row.figures |= {
        "p50": percentile([one * 1000 for one in closed], 0.5),
        "closed by us": sum(calls[content][0]["ended"] == "client_closed" for content in told),
    }
    return row


async def _runs(stand: Stand, watch: Watch, tokens: int) -> None:
    """The back-end runs it, and so many tokens were shown."""

    async def called() -> bool:
        return watch.tokens >= tokens and bool((await stand.evidence.calls([watch]))[watch.content])

    await eventually(called)


async def cancel(watch: Watch) -> float:
    """Say it on another edge; gives when."""
    at = time.time()
    response = await watch.person.edge(watch.edge + 1).post(f"/api/generations/{watch.generation_id}/cancel")
    assert response.status_code == 202, response.text
    return at


async def cancelled_in_the_queue(stand: Stand, plan: Plan) -> Row:
    """Stopped before a worker took it: it never starts."""
    row, people = Row("cancelled while queued"), await stand.people(3)
    for name in WORKERS:
        stand.kill(name)
    watches = [Watch(people[n % 3], question(), "fast", 20, n) for n in range(plan.streams)]
    row.watches += watches
    tasks = [asyncio.create_task(one.run()) for one in watches]
    await eventually(lambda: all(one.accepted for one in watches))
    for one in watches:
        await cancel(one)
    await asyncio.gather(*tasks)
    row.runs = len(watches)
    await stand.whole()
    await row.settle(stand, Allowed(ends=("cancelled",), calls=0))
    return row
