"""All faults: what is done, and how often in the short mode (`make test`) and in the long one (`make faults`)."""

import random
from collections.abc import Callable
from dataclasses import dataclass

from tests.faults.ledger import Finding
from tests.faults.row import Fault, Plan, Row
from tests.faults.rows import (
    arrows,
    broker,
    cancelling,
    crowding,
    deploying,
    dying,
    edges,
    emptied,
    killing,
    poison,
    recording,
    restarting,
    resuming,
    unreachable,
)
from tests.faults.stand import Stand


@dataclass(frozen=True)
class Entry:
    """`short` and `long`: how many runs, under how many streams. short None: only in the long mode."""

    fault: Fault
    short: tuple[int, int] | None
    long: tuple[int, int]


OF_PROCESSES: dict[str, Entry] = {
    "kill": Entry(killing.killed, (2, 6), (200, 8)),
    "wait": Entry(killing.killed_while_waiting, None, (10, 8)),
    "freeze": Entry(killing.frozen, (1, 4), (3, 6)),
    "poison": Entry(poison.poisoned, (1, 8), (5, 8)),
    "edge": Entry(edges.killed, (1, 6), (10, 8)),
    "ask": Entry(edges.killed_while_asked, (1, 6), (10, 8)),
    "edge-arrows": Entry(arrows.edge, (1, 5), (2, 5)),
    "abandoned": Entry(arrows.abandoned, None, (1, 5)),
    "worker-arrows": Entry(arrows.worker, (1, 4), (2, 4)),
    "history-arrows": Entry(arrows.history, (1, 4), (2, 4)),
    "history": Entry(recording.killed, (2, 4), (25, 6)),
    "backend": Entry(dying.backend, (1, 10), (6, 50)),
    "cancel": Entry(cancelling.cancelled, (3, 1), (50, 1)),
    "cancel-queued": Entry(cancelling.cancelled_in_the_queue, (1, 4), (1, 12)),
    "resume": Entry(resuming.resumed, (10, 1), (200, 1)),
    "deploy": Entry(deploying.rolling, (1, 4), (2, 8)),
    "flood": Entry(crowding.flooded, None, (20, 22)),  # runs: seconds
    "overload": Entry(crowding.overloaded, None, (90, 40)),
}
OF_SERVERS: dict[str, Entry] = {
    "thrice": Entry(recording.thrice, (1, 4), (1, 20)),
    "store": Entry(recording.store_away, (1, 4), (3, 4)),
    "cut": Entry(broker.cut, (1, 20), (1, 20)),
    "memory": Entry(broker.alarmed, (1, 4), (2, 4)),
    "disk": Entry(broker.disk_full, None, (1, 4)),
    "full": Entry(broker.full, (1, 8), (1, 12)),
    "rabbitmq": Entry(restarting.rabbitmq, (1, 4), (3, 8)),
    "redis": Entry(restarting.redis, (1, 4), (3, 8)),
    "mongo": Entry(restarting.mongo, (1, 4), (3, 8)),
    "rabbitmq-parted": Entry(unreachable.rabbitmq, None, (1, 8)),
    "redis-parted": Entry(unreachable.redis, None, (1, 8)),
    "mongo-parted": Entry(unreachable.mongo, None, (1, 8)),
    "redis-full": Entry(unreachable.redis_full, (1, 4), (3, 8)),
    "emptied": Entry(emptied.emptied, (1, 4), (5, 8)),
    "emptied-killed": Entry(emptied.emptied_and_killed, (1, 4), (5, 8)),
    "shorter": Entry(emptied.shortened, (1, 4), (5, 8)),
}
FAULTS = OF_PROCESSES | OF_SERVERS


def _silently(words: str) -> None:
    """Says nothing."""


async def done(
    stand: Stand, name: str, seed: int, *, long: bool, say: Callable[[str], None] = _silently, runs: int | None = None
) -> Row:
    """One fault, with choices that the seed and its name decide."""
    entry = FAULTS[name]
    own, streams = entry.short if entry.short and not long else entry.long
    try:
        return await entry.fault(stand, Plan(runs or own, streams, random.Random(f"{seed} {name}"), long, say))
    except Exception as error:  # noqa: BLE001 - told in the row, and the next fault is tried
        return Row(name, findings=[Finding("stuck", None, f"it could not be done: {error!r}")])
    finally:
        await stand.everybody_leaves()
