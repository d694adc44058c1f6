"""Rate limits in the memory of one process (GCRA)."""

import math
import time
from types import TracebackType
from typing import Self

from contracts.ports.limits import Allowance, RateLimits

KEYS = 100_000
"""Keys kept at most; the one that took least recently goes first."""


class MemoryRateLimits(RateLimits):
    """One theoretical arrival time per key, in seconds of `time.monotonic`."""

    def __init__(self) -> None:
        self._arrivals: dict[str, float] = {}

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._arrivals.clear()

    async def take(self, key: str, limit: int, window: float) -> Allowance:
        if limit <= 0:
            return Allowance(allowed=True, remaining=0, retry_after_ms=0, reset_ms=0)
        now = time.monotonic()
        step = window / limit
        arrival = max(self._arrivals.get(key, now), now)
        if arrival + step - now > window + 1e-9:
            wait = arrival + step - window - now
            return Allowance(
                allowed=False,
                remaining=0,
                retry_after_ms=max(1, math.ceil(wait * 1000)),
                reset_ms=math.ceil((arrival - now) * 1000),
            )
        self._keep(key, arrival + step)
        left = int((window - (arrival + step - now)) / step + 1e-9)
        return Allowance(
            allowed=True, remaining=left, retry_after_ms=0, reset_ms=math.ceil((arrival + step - now) * 1000)
        )

    def _keep(self, key: str, arrival: float) -> None:
        self._arrivals.pop(key, None)
        self._arrivals[key] = arrival
        if len(self._arrivals) > KEYS:
            del self._arrivals[next(iter(self._arrivals))]
