"""Who gets a generation: what stands against a claim, and the poison that workers die of."""

import time
from collections.abc import Container
from datetime import UTC, datetime

from contracts.ports.streams import Answer, Held, Sealed
from infra.memory.log import Log

DEATHS, TAKEOVERS = 2, 10
"""So many are quarantine."""
SUSPECT_MS = 250
"""When to ask again for a generation with deaths, for who runs another such one."""


def turned_away(log: Log, worker: str, living: Container[str]) -> Held | Sealed | Answer | None:
    """Why that worker may not run it; None: nothing stands against it. `living`: the workers of which one knows that they are."""
    if log.state in ("closed", "aborted"):
        return Answer.CLOSED if log.state == "closed" else Answer.ABORTED
    if log.state == "sealed" and log.outcome is not None:
        return Sealed(log.outcome)
    if log.owner is not None and log.owner != worker and log.owner in living and log.leased():
        return Held(log.owner, max(1, int((log.lease - time.monotonic()) * 1000)))
    if log.attempt == 0 and datetime.now(UTC) > log.starts_before:
        return Answer.EXPIRED
    return None


def counted(log: Log, worker: str, *, suspects: bool) -> Held | Answer | None:
    """Notes that its owner is gone, if another worker was: without text under its epoch a death, text sets those back to none.

    Counted once: nothing counts in quarantine.
    """
    taken = log.owner not in (None, worker)
    deaths, takeovers = log.deaths, log.takeovers
    if deaths < DEATHS and takeovers < TAKEOVERS:
        deaths = 0 if log.spoke else deaths + taken
        takeovers += taken
    if deaths >= 1 and not suspects:
        return Held(log.owner or "", SUSPECT_MS)
    log.deaths, log.takeovers = deaths, takeovers
    return Answer.QUARANTINE if deaths >= DEATHS or takeovers >= TAKEOVERS else None
