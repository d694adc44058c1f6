"""The broker: connections cut, alarms, full queues, a restart."""

import asyncio
import time

from contracts.topology import generate_reply_queue
from tests.eventually import eventually
from tests.faults.ledger import Allowed
from tests.faults.row import Plan, Row, ask_all
from tests.faults.stand import Stand
from tests.faults.watching import Watch, question
from tests.servers.rabbitmq import Management

CLOSES = 5
WATERMARK = "0.4"
"""The broker's own default."""
DISK_LIMIT = "50MB"
"""As tests/servers/rabbitmq.py sets it."""
ANSWERED_WITHIN = 15.0
"""Seconds until an edge must have refused what the broker does not take."""
LENGTH = 3


async def cut(stand: Stand, plan: Plan) -> Row:
    """Five forced closes of all connections under 20 streams: exactly as many calls as questions, no dead letter."""
    row, people = Row("all broker connections closed"), await stand.people(5)
    for _ in range(plan.runs):
        tasks = await ask_all(row, people, plan.streams, model="slow", max_tokens=160 if plan.long else 120)
        await asyncio.sleep(0.5)
        for _ in range(CLOSES):
            await _close_all(stand)
            row.runs += 1
        await asyncio.gather(*tasks)
    await row.settle(stand, Allowed(calls=1))
    return row


async def _close_all(stand: Stand) -> None:
    closing = ("close_all_connections", "--vhost", stand.virtual_host, "a test")
    await asyncio.to_thread(stand.rabbitmq.control, *closing)


async def alarmed(stand: Stand, plan: Plan) -> Row:
    """The broker out of memory: what runs ends, what is asked is refused within seconds and leaves nothing, or runs once."""
    return await _alarm(stand, plan, "memory", "set_vm_memory_high_watermark", "0", WATERMARK)


async def disk_full(stand: Stand, plan: Plan) -> Row:
    """The same without room on its disk."""
    return await _alarm(stand, plan, "disk", "set_disk_free_limit", "1000000GB", DISK_LIMIT)


async def _alarm(stand: Stand, plan: Plan, of: str, command: str, alarming: str, usual: str) -> Row:
    row, people = Row(f"broker out of {of}"), await stand.people(4)
    longest = 0.0
    for _ in range(plan.runs):
        running = await ask_all(row, people[:2], 4, model="paced", max_tokens=100)
        await asyncio.sleep(0.5)
        await asyncio.to_thread(stand.rabbitmq.control, command, alarming)
        try:
            late = [Watch(one, question(), "fast", 20, n, insists=False) for n, one in enumerate(people[2:])]
            row.watches += late
            began = time.monotonic()
            await asyncio.gather(*(one.run(ANSWERED_WITHIN) for one in late))
            longest = max(longest, time.monotonic() - began)
        finally:
            await asyncio.to_thread(stand.rabbitmq.control, command, usual)
        await asyncio.gather(*running)
        row.runs += 1
    row.figures |= {"refused": sum(one.refused for one in row.watches), "after at most (s)": round(longest, 1)}
    await row.settle(stand, Allowed(may_run=True))
    return row


async def _effective(management: Management, stand: Stand) -> bool:
    """Whether the policy holds for the queue."""
    path = f"/api/queues/{stand.virtual_host}/{generate_reply_queue().name}"
    queue = await asyncio.to_thread(management.get, path)
    return isinstance(queue, dict) and queue.get("policy") == "short"


async def full(stand: Stand, plan: Plan) -> Row:
    """A full queue: refused with Retry-After, nothing left; what was taken is answered."""
    row, people = Row("queue full"), await stand.people(plan.streams)
    management, policy = Management(stand.rabbitmq.url), f"/api/policies/{stand.virtual_host}/short"
    short = {"pattern": r"^inference\.", "definition": {"max-length": LENGTH}, "apply-to": "queues"}
    await asyncio.to_thread(management.put, policy, short)
    asked: list[Watch] = []
    tasks: list[asyncio.Task[Watch]] = []
    await eventually(lambda: _effective(management, stand), 20)
    try:
        for name in ("inference-1", "inference-2"):
            stand.kill(name)
        for one in people:  # one after another: the broker counts a moment late
            asked.append(Watch(one, question(), "fast", 20, insists=False))
            tasks.append(asyncio.create_task(asked[-1].run()))
            await eventually(lambda last=asked[-1]: last.accepted or last.refusals)
        row.watches += asked
    finally:
        await stand.whole()
        await asyncio.gather(*tasks)
        await asyncio.to_thread(management.delete, policy)
    row.runs = 1
    refused = [one for one in asked if one.refused]
    row.figures |= {
        "refused": len(refused),
        "told to come back": sum(bool(one.refusals[0].retry_after) for one in refused),
    }
    await row.settle(stand)
    return row
