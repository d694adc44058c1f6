"""Who waits for which pool, and how fast it is served, in the memory of one process."""

import time
from dataclasses import dataclass, field

from contracts.commands import LANES
from contracts.ports.lines import GenerationWaiting, Line, PoolLane

WAITS = 1500.0
"""Seconds: what waits longer is past its hard deadline, and left its line without a word."""
MOST = 1000
"""Generations read of each lane, and models whose service time is known of each pool."""
BEAT = 10.0
"""Seconds that a worker serves after its last beat."""
WEIGHT = 0.2
"""Of the newest service time in the moving mean."""


@dataclass
class Lines:
    """Moments in seconds of `time.monotonic`. The longest waiting stand first in their line."""

    waiting: dict[PoolLane, dict[str, float]] = field(default_factory=dict[PoolLane, dict[str, float]])
    workers: dict[str, dict[str, tuple[int, float]]] = field(default_factory=dict[str, dict[str, tuple[int, float]]])
    service_ms: dict[str, dict[str, float]] = field(default_factory=dict[str, dict[str, float]])

    def enter(self, lane: PoolLane, generation_id: str) -> None:
        """At the end of that line."""
        line = self.waiting.setdefault(lane, {})
        line.pop(generation_id, None)
        line[generation_id] = time.monotonic()

    def trimmed(self, lane: PoolLane) -> tuple[str, ...]:
        """The line without those who left it long ago."""
        line = self.waiting.get(lane, {})
        for generation_id in [one for one, since in line.items() if since < time.monotonic() - WAITS]:
            leave_line(self, lane, generation_id)
        return tuple(line)[:MOST]

    def slots(self, pool: str) -> tuple[int, ...]:
        """Of each whose beat was heard lately."""
        workers = self.workers.get(pool, {})
        for worker in [one for one, (_, beat) in workers.items() if beat <= time.monotonic() - BEAT]:
            del workers[worker]
        return tuple(slots for slots, _ in workers.values())


def leave_line(lines: Lines, lane: PoolLane | None, generation_id: str) -> None:
    """It waits no more. Nothing happens where it does not stand there."""
    line = None if lane is None else lines.waiting.get(lane)
    if lane is None or line is None:
        return
    line.pop(generation_id, None)
    if not line:
        del lines.waiting[lane]


class MemoryGenerationWaiting(GenerationWaiting):
    """The process's own lines."""

    lines: Lines

    async def line(self, pool: str) -> Line:
        workers = self.lines.slots(pool)
        return Line(
            waiting={lane: self.lines.trimmed(PoolLane(pool, lane)) for lane in LANES},
            slots=sum(workers),
            service_ms=dict(self.lines.service_ms.get(pool, {})),
            workers=workers,
        )

    async def beat(self, pool: str, worker: str, slots: int) -> None:
        workers = self.lines.workers.setdefault(pool, {})
        workers.pop(worker, None)
        if slots > 0:
            workers[worker] = (slots, time.monotonic())

    async def served(self, pool: str, model: str, ms: float) -> None:
        means = self.lines.service_ms.setdefault(pool, {})
        mean = means.pop(model, ms)
        means[model] = (1 - WEIGHT) * mean + WEIGHT * ms
        if len(means) > MOST:
            del means[next(iter(means))]
