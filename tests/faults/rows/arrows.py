"""A process that ends after each arrow of the order of durable writes (generation.md 2)."""

import asyncio
from collections.abc import Sequence

from tests.eventually import eventually
from tests.faults.ledger import Allowed
from tests.faults.row import Plan, Row
from tests.faults.stand import KILLED, Stand
from tests.faults.watching import Watch, question

EDGE = ("streams.admit:1", "streams.create:1", "bus.publish:1", "streams.confirm:1", "bus.publish:2")
WORKER = (
    "streams.claim:1", "streams.append:1", "streams.append:5", "streams.seal:1", "bus.publish:1", "streams.close:1",
    "streams.settle:1",
)  # fmt: skip
HISTORY = (
    "history.record_questions:1", "history.record_outcomes:1", "streams.recorded:1", "streams.leave:1", "bus.publish:1",
    "streams.swept:1",
)  # fmt: skip


async def edge(stand: Stand, plan: Plan) -> Row:
    """An edge that ends on the way to `accepted`: the question is sent again elsewhere and runs once."""
    row = Row("edge ends after each arrow")
    for point in EDGE:
        async with stand.doomed("edge", point) as url:
            people = await stand.people(1, [url])
            await _asked(row, people, range(1))
            await _ended(stand, row, point)
    await row.settle(stand)
    return row


async def worker(stand: Stand, plan: Plan) -> Row:
    """A worker that ends after each arrow from claim to ack."""
    row, people = Row("worker ends after each arrow"), await stand.people(3)
    await _each(stand, row, plan, "inference", WORKER, people)
    return row


async def history(stand: Stand, plan: Plan) -> Row:
    """History that ends after each arrow from the store to the sweep."""
    row, people = Row("history ends after each arrow"), await stand.people(3)
    await _each(stand, row, plan, "history", HISTORY, people)
    return row


async def _each(stand: Stand, row: Row, plan: Plan, kind: str, points: Sequence[str], people: Sequence) -> None:
    """Beside the platform's own processes: people ask until the doomed one got its part and ended."""
    for point in points:
        async with stand.doomed(kind, point):
            asking = 0
            while not _ended_now(stand, kind) and asking < 8:
                await _asked(row, people, range(3))
                asking += 1
            await _ended(stand, row, point)
        plan.say(f"{kind} ended after {point}")
    await row.settle(stand, Allowed(void=True))


async def _asked(row: Row, people: Sequence, numbers: range) -> None:
    asked = [Watch(people[n % len(people)], question(), "fast", 20, 0) for n in numbers]
    row.watches += asked
    await asyncio.gather(*(one.run() for one in asked))


def _ended_now(stand: Stand, kind: str) -> bool:
    return any(stand.ended(name) is not None for name in stand.platform.processes if name.startswith(f"{kind}-doomed"))


async def _ended(stand: Stand, row: Row, point: str) -> None:
    """The doomed process ended where it should."""
    (name,) = [one for one in stand.platform.processes if "-doomed-" in one]
    await eventually(lambda: stand.ended(name) is not None, 10)
    assert stand.ended(name) == KILLED, f"{name} ended with {stand.ended(name)} instead of after {point}"
    row.runs += 1
