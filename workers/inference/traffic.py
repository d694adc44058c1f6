"""What became of the calls of the last minute."""

import time
from collections import deque
from statistics import median
from typing import TypeVar

T = TypeVar("T")

MINUTE = 60.0
KEPT = 6000
"""Calls that are remembered at most: a hundred a second."""


class Traffic:
    """Of one back-end."""

    def __init__(self) -> None:
        self._ends: deque[tuple[float, bool]] = deque(maxlen=KEPT)
        self._firsts: deque[tuple[float, float]] = deque(maxlen=KEPT)

    def ended(self, *, failed: bool) -> None:
        """A call ended; one that somebody broke off does not count."""
        self._ends.append((time.monotonic(), failed))

    def first_token(self, seconds: float) -> None:
        """It took so long until then."""
        self._firsts.append((time.monotonic(), seconds))

    @property
    def calls(self) -> int:
        _forget(self._ends)
        return len(self._ends)

    @property
    def failures(self) -> int:
        _forget(self._ends)
        return sum(failed for _, failed in self._ends)

    @property
    def ttft_ms(self) -> int | None:
        """The median; None where there was none."""
        _forget(self._firsts)
        return round(median(seconds for _, seconds in self._firsts) * 1000) if self._firsts else None


def _forget(kept: deque[tuple[float, T]]) -> None:
    while kept and kept[0][0] < time.monotonic() - MINUTE:
        kept.popleft()
