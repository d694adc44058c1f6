"""A server that is restarted under running streams."""

import asyncio

from tests.eventually import eventually
from tests.faults.ledger import Allowed
from tests.faults.row import Plan, Row, ask_all
from tests.faults.stand import Stand
from tests.faults.watching import Watch

SERVERS = ("rabbitmq", "redis", "mongo")


async def restarted(stand: Stand, plan: Plan) -> Row:
    """RabbitMQ, Redis and the store, one after another: nobody's answer is lost, changed or run again."""
    row, people = Row("each server restarted"), await stand.people(4)
    for _ in range(plan.runs):
        for name in SERVERS:
            tasks = await ask_all(row, people, plan.streams, model="paced", max_tokens=150)
            asked = row.watches[-plan.streams :]
            await eventually(lambda them=asked: all(one.tokens for one in them))
            row.figures[f"longest pause, {name} (ms)"] = await _longest_pause(stand, name, tasks)
            row.runs += 1
    await row.settle(stand, Allowed(calls=1))
    return row


async def _longest_pause(stand: Stand, name: str, tasks: list[asyncio.Task[Watch]]) -> int:
    """Of the streams, in milliseconds."""
    await asyncio.to_thread(stand.servers[name].restart)
    watches = await asyncio.gather(*tasks)
    pauses = [after.at - before.at for one in watches for before, after in zip(one.seen, one.seen[1:], strict=False)]
    return round(max(pauses, default=0.0) * 1000)
