"""Who waits for which pool, and how fast it is served, in Redis."""

import asyncio

from contracts.commands import LANES
from contracts.ports.lines import GenerationWaiting, Line, PoolLane
from infra.redis.connection import Connection
from infra.redis.keys import line_of, service_of, workers_of

WAITS_MS = 1500 * 1000
"""What waits longer is past its hard deadline, and left its line without a word."""
MOST = 1000
"""Generations read of each lane, and models whose service time is known of each pool."""
BEAT_MS = 10 * 1000
"""A worker serves for so long after its last beat."""
SERVICE_FOR_MS = 7 * 24 * 3600 * 1000


def field_of(lane: PoolLane | None) -> str:
    """The lane as a log's hash keeps it: "<pool>:<lane>", empty where it never stood in a line."""
    return "" if lane is None else f"{lane.pool}:{lane.lane}"


def enter_line(connection: Connection, lane: str, generation_id: str, since_ms: int) -> None:
    """It waits from then on. Nothing is waited for: lost with the connection, it waits unseen."""
    if lane:
        connection.tell("ZADD", line_of(lane), since_ms, generation_id)
        connection.tell("PEXPIRE", line_of(lane), WAITS_MS)


def leave_line(connection: Connection, lane: bytes, generation_id: str) -> None:
    """It waits no more; `lane` as its log's hash has it, so empty: nothing to do. Nothing is waited for."""
    if lane:
        connection.tell("ZREM", line_of(lane.decode()), generation_id)


class RedisGenerationWaiting(GenerationWaiting):
    """The lines that every process shares."""

    connection: Connection

    async def line(self, pool: str) -> Line:
        *lines, workers, service = await asyncio.gather(
            *(self.connection.run("waiting", 1, line_of(f"{pool}:{lane}"), WAITS_MS, MOST) for lane in LANES),
            self.connection.run("waiting", 1, workers_of(pool), BEAT_MS, MOST),
            self.connection.call("HGETALL", service_of(pool)),
        )
        slots = tuple(int(one.split(b" ", 1)[0]) for one in workers)
        return Line(
            waiting={lane: tuple(map(bytes.decode, line)) for lane, line in zip(LANES, lines, strict=True)},
            slots=sum(slots),
            service_ms={model.decode(): float(ms) for model, ms in zip(service[::2], service[1::2], strict=True)},
            workers=slots,
        )

    async def beat(self, pool: str, worker: str, slots: int) -> None:
        await self.connection.run("beat", 1, workers_of(pool), worker, slots, BEAT_MS)

    async def served(self, pool: str, model: str, ms: float) -> None:
        await self.connection.run("served", 1, service_of(pool), model, repr(float(ms)), MOST, SERVICE_FOR_MS)
