"""Streams resumed from any event that was seen, while they run and afterwards."""

import asyncio
import time

from tests.eventually import eventually
from tests.faults.figures import percentile
from tests.faults.ledger import Finding
from tests.faults.row import Plan, Row
from tests.faults.stand import Stand
from tests.faults.watching import Watch, question

FIRST_BYTE_MS = 10.0


async def resumed(stand: Stand, plan: Plan) -> Row:
    """From random events, on either edge, during the answer and after its end: exactly the rest comes."""
    row, (person,) = Row("resumed from random events"), await stand.people(1)
    watch = Watch(person, question(), "paced", 100)
    row.watches.append(watch)
    task = asyncio.create_task(watch.run())
    await eventually(lambda: watch.tokens > 5)
    under_way = asyncio.create_task(_resume_often(row, watch, plan))
    await asyncio.gather(task, under_way)
    await row.settle(stand)
    first_bytes = await _resume_often(row, watch, plan)  # idle: only these are judged
    row.reaches(plan, "first byte p99 (ms)", percentile(first_bytes, 0.99), most=FIRST_BYTE_MS)
    row.figures["p50"] = percentile(first_bytes, 0.5)
    return row


async def _resume_often(row: Row, watch: Watch, plan: Plan) -> list[float]:
    """Milliseconds to the first byte, each time."""
    took: list[float] = []
    for number in range(plan.runs):
        after = plan.random.choice([one.event.id for one in watch.seen if one.event.id])
        again = Watch(watch.person, watch.content, watch.model, watch.max_tokens, number)
        await again.follow(str(watch.generation_id), after)
        took.append(await _first_byte(watch, number, after))
        row.findings += _differences(watch, again, after)
        row.runs += 1
    return took


def _differences(watch: Watch, again: Watch, after: str) -> list[Finding]:
    """Exactly what comes after that event; after the last one, that one again."""
    seen = [(one.event.id, one.event.data) for one in watch.seen if one.event.id]
    at = [one for one, _ in seen].index(after)
    rest = seen[at + 1 :] or seen[-1:]
    got = [(one.event.id, one.event.data) for one in again.seen if one.event.name != "queued"]
    if got[: len(rest)] == rest:
        return []
    return [Finding("lost", watch.generation_id, f"after {after} came {[one for one, _ in got]}")]


async def _first_byte(watch: Watch, edge: int, after: str) -> float:
    """Milliseconds from the request to the first byte of the stream's body, on a line that is open: what the edge takes, no client's
    own work in it."""
    person = watch.person
    host, _, port = person.edges[edge % len(person.edges)].removeprefix("http://").partition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    try:
        lines = {"Host": host, "Last-Event-ID": after, "Connection": "close", **person.headers}
        head = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
        asked = time.perf_counter()
        writer.write(f"GET /api/generations/{watch.generation_id}/stream HTTP/1.1\r\n{head}\r\n".encode())
        await reader.readuntil(b"\r\n\r\n")
        assert await reader.read(1)
        return (time.perf_counter() - asked) * 1000
    finally:
        writer.close()
        await writer.wait_closed()
