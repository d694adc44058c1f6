"""Rate limits."""

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True)
class Allowance:
    """What is left. `retry_after_ms` is 0 when the call was allowed; `reset_ms`: until the window is whole again."""

    allowed: bool
    remaining: int
    retry_after_ms: int
    reset_ms: int


class RateLimits(Protocol):
    """Counts calls per key, the same on every edge (GCRA: `limit` calls per `window` seconds, evenly refilled)."""

    async def take(self, key: str, limit: int, window: float) -> Allowance:
        """Take one call of `key`'s `limit` per `window` seconds. Refused calls cost nothing. Limit 0 = no limit."""
        ...
