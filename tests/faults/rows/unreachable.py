"""Servers that are there and do not answer: out of reach for a minute, as behind a network that parted, or without memory."""

import asyncio
import signal
import time

from tests.e2e.client import Person
from tests.eventually import eventually
from tests.faults.ledger import Allowed, Finding
from tests.faults.row import Plan, Row, ask_all
from tests.faults.stand import Stand
from tests.faults.watching import Watch, question

AWAY = 60.0
"""Seconds."""
ANSWERED_WITHIN = 15.0
"""Seconds until an edge must have answered a question that it cannot take."""
PATIENCE = AWAY + 90.0
"""Seconds after which a stream counts as stuck."""
VISIBLY = Allowed(ends=("completed", "failed"), may_run=True, void=True)
"""What runs meanwhile may fail, and may begin again."""
FULL_FOR = 4.0
"""Seconds without memory."""


async def _parted(stand: Stand, plan: Plan, name: str, *, refuses: bool) -> Row:
    """What runs ends visibly; what is asked meanwhile (`refuses`) is refused within seconds, and runs at most once."""
    row, people = Row(f"{name} out of reach for {AWAY:.0f} s"), await stand.people(5)
    for _ in range(plan.runs):
        tasks = await _running(row, people[1:], plan.streams, 150)
        stand.servers[name].send(signal.SIGSTOP)
        since = time.monotonic()
        try:
            if refuses:
                await _ask_in_vain(row, people[0])
            await asyncio.sleep(max(0.0, since + AWAY - time.monotonic()))
        finally:
            stand.servers[name].send(signal.SIGCONT)
        await asyncio.gather(*tasks)
        await stand.answers()
        row.runs += 1
    _count(row)
    await row.settle(stand, VISIBLY)
    return row


async def _running(row: Row, people: list[Person], number: int, tokens: int) -> list[asyncio.Task[Watch]]:
    """Streams that show text."""
    tasks = await ask_all(row, people, number, patience=PATIENCE, model="paced", max_tokens=tokens)
    asked = row.watches[-number:]
    await eventually(lambda: all(one.tokens for one in asked))
    return tasks


async def _ask_in_vain(row: Row, person: Person) -> None:
    """At each edge one question, which has to be refused as something that may be tried again."""
    late = [Watch(person, question(), "fast", 20, edge, insists=False) for edge in range(2)]
    began = time.monotonic()
    await asyncio.gather(*(one.run(ANSWERED_WITHIN) for one in late))
    took = round(time.monotonic() - began, 1)
    row.figures["refused after at most (s)"] = max(took, float(str(row.figures.get("refused after at most (s)", 0))))
    row.watches += late
    row.findings += [Finding("stuck", None, f"not refused: {one}") for one in late if not one.told_to_come_back]


def _count(row: Row) -> None:
    """How what ran came to its end."""
    ends = [one.end.name for one in row.watches if one.end is not None]
    row.figures |= {name: ends.count(name) for name in sorted(set(ends))}


async def rabbitmq(stand: Stand, plan: Plan) -> Row:
    """The broker does not answer for a minute: what runs ends, what is asked is refused within seconds."""
    return await _parted(stand, plan, "rabbitmq", refuses=True)


async def redis(stand: Stand, plan: Plan) -> Row:
    """Redis does not answer for a minute: what runs ends visibly, what is asked is refused within seconds."""
    return await _parted(stand, plan, "redis", refuses=True)


async def mongo(stand: Stand, plan: Plan) -> Row:
    """The store does not answer for a minute: what runs ends, and is recorded once it answers."""
    return await _parted(stand, plan, "mongo", refuses=False)


async def redis_full(stand: Stand, plan: Plan) -> Row:
    """Redis out of memory: what runs ends visibly, what is asked is refused within seconds."""
    row, people = Row("redis out of memory"), await stand.people(5)
    for _ in range(plan.runs):
        tasks = await _running(row, people[1:], plan.streams, 100)
        await stand.redis.config_set("maxmemory", 1)
        since = time.monotonic()
        try:
            await _ask_in_vain(row, people[0])
            await asyncio.sleep(max(0.0, since + FULL_FOR - time.monotonic()))
        finally:
            await stand.redis.config_set("maxmemory", 0)
        await asyncio.gather(*tasks)
        row.runs += 1
    _count(row)
    await row.settle(stand, VISIBLY)
    return row
