"""How often a back-end that failed is asked again."""

import time
from dataclasses import dataclass, field

from contracts.errors import BackendFailed

TRIES = 3
WITHIN = 30.0
"""Seconds for all tries before the first token."""
PAUSES = (0.2, 1.0)
"""Seconds before the second and the third try."""


@dataclass
class Tries:
    """Up to three before the first token; once after it, and then up to three again; none for a back-end's own 4xx."""

    made: int = 1
    broke_off: bool = False
    _since: float = field(default_factory=time.monotonic)

    def another(self, error: BackendFailed, *, shown: bool) -> bool:
        """Whether to ask again after this failure; counts that try. `shown`: pieces came from that very call."""
        if not error.retryable or (shown and self.broke_off):
            return False
        if shown:
            self.made, self.broke_off, self._since = 0, True, time.monotonic()
        if self.made >= TRIES or time.monotonic() - self._since >= WITHIN:
            return False
        self.made += 1
        return True

    @property
    def pause(self) -> float:
        """Seconds to wait before the next try; none after an answer that broke off, whose followers are waiting."""
        return 0.0 if self.made < 2 else PAUSES[min(self.made, TRIES) - 2]
