"""Who waits for which pool, and what the sweep has to look at: sorted sets beside the logs. `contracts.ports.streams` has the rest.

Every call may be repeated at will, and raises Unavailable when the technology does not answer.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from contracts.commands import Lane


@dataclass(frozen=True)
class PoolLane:
    """One of the queues of a pool."""

    pool: str
    lane: Lane


@dataclass(frozen=True)
class Line:
    """Who waits for a pool: ids by lane, the longest waiting first.

    slots: generations that its living workers run at once (0: there is none). service_ms: the moving mean of how long one
    holds its slot, by model. workers: the slots of each living worker.
    """

    waiting: Mapping[Lane, Sequence[str]]
    slots: int
    service_ms: Mapping[str, float]
    workers: Sequence[int] = ()


@dataclass(frozen=True)
class Due:
    """A generation whose hard deadline has passed and that nobody noted as recorded."""

    owner: str
    generation_id: str
    deadline: datetime


class GenerationWaiting(Protocol):
    """Who waits for which pool, and how fast it is served."""

    async def line(self, pool: str) -> Line:
        """The pool's line now; at most the first 1,000 of each lane."""
        ...

    async def beat(self, pool: str, worker: str, slots: int) -> None:
        """That worker serves the pool for the next 10 s; slots 0: not any more."""
        ...

    async def served(self, pool: str, model: str, ms: float) -> None:
        """One generation of that model held its slot so long: a fifth of the new mean."""
        ...


class GenerationSweeping(Protocol):
    """What was admitted and not noted as recorded."""

    async def due(self, before: datetime, limit: int) -> Sequence[Due]:
        """Those whose hard deadline lies before that moment, the oldest first."""
        ...

    async def swept(self, owner: str, generation_id: str) -> None:
        """Nothing of it is left to do."""
        ...
