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
    """Up to three before the first token; after it one more, from the start; none for a back-end's own 4xx."""

    made: int = 1
    restarts: int = 0
    _since: float = field(default_factory=time.monotonic)

    def another(self, error: BackendFailed, *, shown: bool) -> bool:
        """Whether to ask again after this failure; counts that try. `shown`: followers have seen text of this run."""
        if not error.retryable or self.restarts:
            return False
        if shown:
            self.restarts = 1
            return True
        if self.made >= TRIES or time.monotonic() - self._since >= WITHIN:
            return False
        self.made += 1
        return True

    @property
    def pause(self) -> float:
        """Seconds to wait before the next try; none for a restart, whose followers are waiting."""
        return 0.0 if self.restarts else PAUSES[min(self.made, TRIES) - 2]
