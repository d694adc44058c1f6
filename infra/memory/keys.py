"""Callers' own keys of their requests, in the memory of one process."""

import time
from dataclasses import dataclass, field

from contracts.ports.streams import Answer, IdempotencyKey, Same

KEY_FOR = 24 * 3600.0
"""Seconds that a key finds its generation."""


@dataclass(frozen=True)
class Kept:
    """What a key named. `expires`: in seconds of `time.monotonic`."""

    sha: str
    generation_id: str
    expires: float


@dataclass
class Keys:
    """By person and key, in the order in which they expire."""

    kept: dict[tuple[str, str], Kept] = field(default_factory=dict[tuple[str, str], Kept])

    def named(self, owner: str, key: IdempotencyKey) -> Same | Answer | None:
        """What that key alone says; None where it is new."""
        self._expire()
        kept = self.kept.get((owner, key.value))
        if kept is None:
            return None
        return Same(kept.generation_id) if kept.sha == key.sha else Answer.MISMATCH

    def keep(self, owner: str, key: IdempotencyKey, generation_id: str) -> None:
        """It names this generation from now on."""
        self.kept[owner, key.value] = Kept(key.sha, generation_id, time.monotonic() + KEY_FOR)

    def forget(self, owner: str, value: str, generation_id: str) -> None:
        """That key is new again, if it named this generation."""
        kept = self.kept.get((owner, value))
        if kept is not None and kept.generation_id == generation_id:
            del self.kept[owner, value]

    def _expire(self) -> None:
        while self.kept and next(iter(self.kept.values())).expires <= time.monotonic():
            del self.kept[next(iter(self.kept))]
