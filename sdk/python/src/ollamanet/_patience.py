"""How often and how patiently trouble is tried again."""

import math
import random
from dataclasses import dataclass
from datetime import datetime, timezone
from email.utils import parsedate_to_datetime

import httpx

from ollamanet._errors import Refused

PASSING = frozenset({408, 429, 502, 503, 504})
"""Statuses that pass: trying the same again later may work."""


@dataclass(frozen=True)
class Patience:
    """Tries after the first one (a stream counts anew whenever something came); pauses in seconds.

    Where the platform asks to wait for longer than `longest_asked`, its refusal is raised at once.
    """

    retries: int = 8
    first_pause: float = 0.25
    longest_pause: float = 10.0
    longest_asked: float = 60.0

    def pause(self, failures: int, asked: float | None = None) -> float:
        """Seconds before the next try: doubled each time, with jitter, never shorter than what the platform asked for."""
        most = min(self.longest_pause, self.first_pause * 2 ** (failures - 1))
        return max(random.uniform(most / 2, most), min(asked or 0.0, self.longest_asked) * random.uniform(1, 1.1))

    def passes(self, problem: Refused) -> bool:
        """Whether the same call may succeed before long."""
        return problem.status in PASSING and (problem.retry_after or 0.0) <= self.longest_asked


def retry_after(headers: httpx.Headers) -> float | None:
    """Seconds of `retry-after-ms`, else of `Retry-After` (seconds, or a date)."""
    try:
        if "retry-after-ms" in headers:
            return _seconds(float(headers["retry-after-ms"]) / 1000)
        told = headers.get("retry-after")
        if told is None or told.isdigit():
            return None if told is None else _seconds(float(told))
        moment = parsedate_to_datetime(told)
        if moment.tzinfo is None:  # "-0000": UTC, says RFC 5322
            moment = moment.replace(tzinfo=timezone.utc)
        return _seconds((moment - datetime.now(timezone.utc)).total_seconds())
    except ValueError:
        return None


def _seconds(told: float) -> float | None:
    return max(0.0, told) if math.isfinite(told) else None
