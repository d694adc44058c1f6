"""More questions than slots: what one who floods leaves to the others, and whether times that are told come true."""

import asyncio
import time
from collections.abc import Sequence

from tests.e2e.client import Person
from tests.faults.ledger import Finding
from tests.faults.report import percentile
from tests.faults.row import Load, Plan, Row
from tests.faults.stand import Stand
from tests.faults.watching import Watch, question

SLOTS = 2
"""Of each of the two workers."""
FLOOD = 18
"""Questions that one person always has in the line: under the cap of 20."""
SHARES = 0.95
"""Jain's index of what the others got, at least."""
TOLERANCE = 0.3
SETTLING = 3.0
"""Seconds before the first that counts: nobody knows yet how long an answer takes."""


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
    row.figures |= {
        "answers of the others": shares,
        "of the one who floods": len(flood.watches),
        "Jain": round(index, 3),
    }
    if plan.long and index < SHARES:
        row.findings.append(Finding("stuck", None, f"Jain's index of the others' shares is {index:.3f}"))
    await row.settle(stand)
    return row


async def overloaded(stand: Stand, plan: Plan) -> Row:
    """Twice as many questions as can be answered, from people at their cap: Retry-After told and needed."""
    row, people = Row("steady overload of 2 x"), await stand.people(2)
    async with stand.with_slots(SLOTS):
        began = time.time()
        await asyncio.gather(*(_twice_too_much(row, one, plan.runs) for one in people))
    row.runs = 1
    told = [ratio for ratio in _told_and_needed(row, people, began + SETTLING) if ratio is not None]
    eta = list(_eta_and_wait(row, began + SETTLING))
    row.figures |= {
        "refused": sum(one.refused for one in row.watches),
        "Retry-After told / needed p50": percentile(told, 0.5),
        "p10": percentile(told, 0.1),
        "p90": percentile(told, 0.9),
        "eta told / waited p50": percentile(eta, 0.5),
    }
    await row.settle(stand)
    return row


async def _twice_too_much(row: Row, person: Person, seconds: float) -> None:
    """Two workers of two slots answer eight questions of half a second a second; two people ask sixteen."""
    tasks: list[asyncio.Task[Watch]] = []
    began = time.monotonic()
    while time.monotonic() - began < seconds:
        watch = Watch(person, question(), "paced", 25, len(tasks), insists=False)
        row.watches.append(watch)
        tasks.append(asyncio.create_task(watch.run()))
        await asyncio.sleep(1 / 8)
    await asyncio.gather(*tasks)


def _told_and_needed(row: Row, people: Sequence[Person], since: float) -> list[float | None]:
    """Of each refusal: what was told, over the time until the person's next generation ended."""
    ratios: list[float | None] = []
    for person in people:
        own = [one for one in row.watches if one.person is person]
        ends = sorted(one.seen[-1].at for one in own if one.end is not None)
        for watch in own:
            for refusal in watch.refusals:
                needed = next((at - refusal.at for at in ends if at > refusal.at), None)
                if refusal.retry_after and needed and refusal.at > since:
                    ratios.append(refusal.retry_after / needed)
    return ratios


def _eta_and_wait(row: Row, since: float) -> list[float]:
    """Of each first `queued` frame: the time it told, over the time until the answer started."""
    ratios: list[float] = []
    for watch in row.watches:
        queued = next((one for one in watch.seen if one.event.name == "queued"), None)
        started = next((one for one in watch.seen if one.event.name == "started"), None)
        if queued and started and queued.event.data["eta_ms"] and queued.at > since:
            ratios.append(float(str(queued.event.data["eta_ms"])) / 1000 / (started.at - queued.at))
    return ratios
