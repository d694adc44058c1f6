"""A process that ends after each arrow of the order of durable writes (generation.md 2)."""

import asyncio
from collections.abc import Iterable, Sequence

from tests.e2e.client import Person
from tests.eventually import eventually
from tests.faults.ledger import Allowed
from tests.faults.row import Plan, Row
from tests.faults.stand import KILLED, Stand
from tests.faults.watching import Watch, question

EDGE = ("streams.admit:1", "streams.create:1", "bus.publish:1", "streams.confirm:1", "bus.publish:2")
WORKER = (
    ("streams.claim:1", "streams.append:5", "streams.seal:1", "bus.publish:1", "streams.close:1", "streams.settle:1"),
    ("streams.append:1",),  # by itself: two deaths in a row before any text are a quarantine
)
HISTORY = (
    "history.record_questions:1", "history.record_outcomes:1", "streams.recorded:1", "streams.leave:1", "bus.publish:1",
    "streams.swept:1",
)  # fmt: skip
ROUNDS = 40
"""Of questions that are asked until the doomed ones have had their part."""


async def edge(stand: Stand, plan: Plan) -> Row:
    """An edge that ends on the way to `accepted`: the question is sent again elsewhere, under its key, and runs once."""
    row = Row("edge ends after each arrow")
    for _ in range(plan.runs):
        async with stand.doomed("edge", *EDGE) as doomed:
            people = [(await stand.people(1, [url]))[0] for _, url in doomed.values()]
            await _ask(row, people)
            await _ended(stand, row, doomed)
    await row.settle(stand)
    return row


async def abandoned(stand: Stand, plan: Plan) -> Row:
    """The same, and the person is gone too: past its deadline the sweep leaves nothing of what was not accepted."""
    row = Row("edge and client gone after each arrow")
    async with stand.doomed("edge", *EDGE) as doomed:
        people = [(await stand.people(1, [url]))[0] for _, url in doomed.values()]
        await _ask(row, people, insists=False)
        await _ended(stand, row, doomed)
    await stand.pass_deadlines()
    await row.settle(stand)
    return row


async def worker(stand: Stand, plan: Plan) -> Row:
    """A worker that ends after each arrow from claim to ack."""
    row = Row("worker ends after each arrow")
    for points in WORKER * plan.runs:
        await _until_all_ended(stand, row, "inference", points)
    await row.settle(stand, Allowed(void=True))
    return row


async def history(stand: Stand, plan: Plan) -> Row:
    """History that ends after each arrow from the store to the sweep."""
    row = Row("history ends after each arrow")
    for _ in range(plan.runs):
        await _until_all_ended(stand, row, "history", HISTORY)
    await row.settle(stand)
    return row


async def _until_all_ended(stand: Stand, row: Row, kind: str, points: Sequence[str]) -> None:
    """Beside the platform's own processes: people ask until each doomed one got its part and ended."""
    people = await stand.people(4)
    async with stand.doomed(kind, *points) as doomed:
        for _ in range(ROUNDS):
            await _ask(row, people)
            if all(stand.ended(name) is not None for name, _ in doomed.values()):
                break
        await _ended(stand, row, doomed)


async def _ask(row: Row, people: Iterable[Person], *, insists: bool = True) -> None:
    asked = [Watch(one, question(), "fast", 20, insists=insists) for one in people]
    row.watches += asked
    await asyncio.gather(*(one.run() for one in asked))


async def _ended(stand: Stand, row: Row, doomed: dict[str, tuple[str, str]]) -> None:
    """Each ended where it should."""
    for point, (name, _) in doomed.items():
        await eventually(lambda one=name: stand.ended(one) is not None, 10)
        assert stand.ended(name) == KILLED, f"{name} ended with {stand.ended(name)} instead of after {point}"
        row.runs += 1
