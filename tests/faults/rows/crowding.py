"""More questions than slots: what one who floods leaves to the others, and whether times that are told come true."""

import asyncio
import time
from collections.abc import Sequence

from tests.e2e.client import Person
from tests.faults.ledger import Allowed
from tests.faults.row import Load, Plan, Row
from tests.faults.rows.cancelling import cancel
from tests.faults.stand import Stand
from tests.faults.watching import Watch, question

SLOTS = 2
"""Of each of the two workers."""
FLOOD = 18
"""Questions that one person always has in the line: under the cap of 20."""
SHARES = 0.95
"""Jain's index of what the others got, at least."""
TOLERANCE = 0.3
KNOWN_AFTER = 15.0
"""Seconds until it is known how long an answer takes."""
CAP = 20
"""Live generations of a person."""


async def flooded(stand: Stand, plan: Plan) -> Row:
    """One person floods, four others ask one thing after another: their shares are equal."""
    row = Row("one person floods")
    flood, others = Row("flood"), [Row("others") for _ in range(4)]
    flooder, *rest = await stand.people(5)
    async with stand.with_slots(SLOTS):
        asked = [{"model": "paced", "max_tokens": 25}]
        loads = [Load(one, [person], 1, asked) for one, person in zip(others, rest, strict=True)]
        async with Load(flood, [flooder], FLOOD, asked), loads[0], loads[1], loads[2], loads[3]:
            await asyncio.sleep(plan.runs)
    row.runs = 1
    row.watches = [*flood.watches, *(one for other in others for one in other.watches)]
    shares = [len(one.watches) for one in others]
    index = sum(shares) ** 2 / (len(shares) * sum(one * one for one in shares))
    row.figures |= {"answers of the others": shares, "of the one who floods": len(flood.watches)}
    row.reaches(plan, "Jain's index of the others", round(index, 3), least=SHARES)
    await row.settle(stand)
    return row


async def overloaded(stand: Stand, plan: Plan) -> Row:
    """Twice as many questions as can be answered, by people at their cap: times that were told, over those that were needed."""
    row, people = Row("steady overload of 2 x"), await stand.people(2)
    async with stand.with_slots(1):
        began = time.time()
        tasks = [
            task for one in await asyncio.gather(*(_twice_too_much(row, one, plan) for one in people)) for task in one
        ]
        await asyncio.gather(*(cancel(one) for one in row.watches if one.accepted and one.end is None))
        await asyncio.gather(*tasks)
    row.runs = 1
    told, needed = _told_and_needed(row, people, began + plan.runs / 3)
    eta, waited = _eta_and_wait(row, began + KNOWN_AFTER)
    row.figures["refused"] = sum(one.refused for one in row.watches)
    row.reaches(plan, "Retry-After told / needed", _ratio(told, needed), 1 - TOLERANCE, 1 + TOLERANCE)
    row.reaches(plan, "eta told / waited", _ratio(eta, waited), 1 - TOLERANCE, 1 + TOLERANCE)
    await row.settle(stand, Allowed(ends=("completed", "cancelled")))
    return row


async def _twice_too_much(row: Row, person: Person, plan: Plan) -> list[asyncio.Task[Watch]]:
    """Two workers of one slot answer a question of four seconds every other second; two people at their cap ask two."""
    tasks: list[asyncio.Task[Watch]] = []
    began = time.monotonic()
    while time.monotonic() - began < plan.runs:
        watch = Watch(person, question(), "paced", 200, len(tasks), insists=False)
        row.watches.append(watch)
        tasks.append(asyncio.create_task(watch.run(120)))
        await asyncio.sleep(4 * plan.random.random() if len(tasks) > CAP else 0)
    return tasks


def _told_and_needed(row: Row, people: Sequence[Person], since: float) -> tuple[list[float], list[float]]:
    """Of each refusal: what was told, and the time until that person's next generation ended."""
    told, needed = list[float](), list[float]()
    for person in people:
        own = [one for one in row.watches if one.person is person]
        ends = sorted(one.seen[-1].at for one in own if one.end is not None)
        for refusal in (one for watch in own for one in watch.refusals if one.at > since and one.retry_after):
            free = next((at for at in ends if at > refusal.at), None)
            if free is not None:
                told.append(refusal.retry_after or 0.0)
                needed.append(free - refusal.at)
    return told, needed


def _eta_and_wait(row: Row, since: float) -> tuple[list[float], list[float]]:
    """Of each first `queued` frame since then: the time it told, and the time until the answer started."""
    told, waited = list[float](), list[float]()
    for watch in row.watches:
        told_later = (one for one in watch.seen if one.event.name == "queued" and one.at > since)
        queued = next((one for one in told_later if one.event.data["eta_ms"]), None)
        started = next((one for one in watch.seen if one.event.name == "started"), None)
        if queued and started:
            told.append(float(str(queued.event.data["eta_ms"])) / 1000)
            waited.append(started.at - queued.at)
    return told, waited


def _ratio(told: list[float], came: list[float]) -> float | None:
    """Of the means: who asks cannot know where in its way the answer before is."""
    return round(sum(told) / sum(came), 2) if came else None
