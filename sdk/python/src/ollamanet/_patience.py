"""How often and how patiently trouble is tried again."""

import random
from dataclasses import dataclass
from datetime import datetime, timezone
from email.utils import parsedate_to_datetime

import httpx

PASSING = frozenset({408, 429, 502, 503, 504})
"""Statuses that pass: trying the same again later may work."""


@dataclass(frozen=True)
class Patience:
    """Tries after the first one (a stream counts anew whenever something came); pauses in seconds."""

    retries: int = 8
    first_pause: float = 0.25
    longest_pause: float = 10.0

    def pause(self, failures: int, asked: float | None = None) -> float:
        """Seconds before the next try: doubled each time, with jitter, never shorter than what the platform asked for."""
        most = min(self.longest_pause, self.first_pause * 2 ** (failures - 1))
        return max(random.uniform(most / 2, most), (asked or 0.0) * random.uniform(1, 1.1))


def retry_after(headers: httpx.Headers) -> float | None:
    """Seconds of `retry-after-ms`, else of `Retry-After` (seconds, or a date)."""
    try:
        if "retry-after-ms" in headers:
            return float(headers["retry-after-ms"]) / 1000
        told = headers.get("retry-after")
        if told is None or told.isdigit():
            return None if told is None else float(told)
        return max(0.0, (parsedate_to_datetime(told) - datetime.now(timezone.utc)).total_seconds())
    except ValueError:
        return None
