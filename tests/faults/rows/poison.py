"""A question that takes its worker down each time it runs, among seven that are innocent."""

import asyncio

from tests.eventually import eventually
from tests.faults.ledger import Allowed, Finding
from tests.faults.row import Plan, Row
from tests.faults.stand import WORKERS, Stand
from tests.faults.watching import Watch, question

INNOCENT = 7
DEATHS = 2
"""After so many a question is not run again."""


async def poisoned(stand: Stand, plan: Plan) -> Row:
    """The worker is killed each time it runs that question: quarantined after two deaths, the seven beside it are answered."""
    row, people = Row("poison among seven innocents"), await stand.people(4)
    poisons: list[Watch] = []
    for run in range(plan.runs):
        poison = Watch(people[0], question(), "silent", None, run)
        innocent = [Watch(people[n % 4], question(), "paced", 100, n) for n in range(INNOCENT)]
        poisons.append(poison)
        row.watches += [poison, *innocent]
        tasks = [asyncio.create_task(one.run()) for one in (poison, *innocent)]
        for deaths in range(DEATHS):
            victim = await _runs(stand, poison, deaths + 1)
            stand.kill(victim)
            await stand.restart(victim)
        await asyncio.gather(*tasks)
        row.runs += 1
    await row.settle(stand, Allowed(ends=("failed",), calls=DEATHS), watches=poisons, left=False)
    await row.settle(stand, Allowed(void=True), watches=[one for one in row.watches if one not in poisons])
    codes = [one.end.data.get("code") if one.end else None for one in poisons]
    row.findings += [
        Finding("lost", one.generation_id, f"ended with code {code}")
        for one, code in zip(poisons, codes, strict=True)
        if code != "quarantined"
    ]
    return row


async def _runs(stand: Stand, poison: Watch, attempt: int) -> str:
    """The worker at whose back-end the poison's call of that attempt is."""

    async def called() -> bool:
        return len((await stand.evidence.calls([poison]))[poison.content]) >= attempt and poison.worker in WORKERS

    await eventually(called, 20)
    assert poison.worker is not None
    return poison.worker
