"""When one that fails is left alone, and when it is tried again."""

import time
from collections import deque
from collections.abc import Callable
from typing import Literal

State = Literal["closed", "open", "half-open"]
Clock = Callable[[], float]

IN_A_ROW = 5
"""Failures one after another that open it."""
WITHIN, AT_LEAST, SHARE = 30.0, 10, 0.5
"""So many seconds back, of at least so many calls, the share of failures that opens it."""
SHORTEST, LONGEST = 5.0, 60.0
"""Seconds that it stays open: the first time, and at most after it was doubled."""
KEPT = 1000
"""Calls that are remembered at most: those of 30 s, at 30 a second."""


def _nobody(_: State) -> None:
    """Nobody is told."""


class Circuit:
    """Of one thing that calls are made to. It opens by failures, is `half-open` after a while, in which one call tries it, and closed by
    that one's first sign of life; if that call fails after all, it opens for twice as long. `changed`: told of each change.

    What calls tell that had begun before it opened is of the time before: it changes nothing.
    """

    def __init__(self, clock: Clock = time.monotonic, changed: Callable[[State], None] = _nobody) -> None:
        self._clock = clock
        self._changed = changed
        self._ends: deque[tuple[float, bool]] = deque(maxlen=KEPT)
        self._row = 0
        self._tried_from: float | None = None
        self._pause = SHORTEST
        self.trial: Call | None = None
        """The call that tries it now."""
        self.era = 0
        """How often it has opened."""

    @property
    def state(self) -> State:
        if self._tried_from is None:
            return "closed"
        return "open" if self._clock() < self._tried_from else "half-open"

    @property
    def blocked(self) -> bool:
        """Whether no call should be made: it is open, or another one tries."""
        return self.state == "open" or (self.state == "half-open" and self.trial is not None)

    def begin(self) -> "Call":
        """A call is made: the one that tries, if it is half-open and none does. Made all the same while it is open, it closes it if it
        goes well."""
        call = Call(self)
        if self.state == "half-open" and self.trial is None:
            self.trial = call
            self._changed("half-open")
        return call

    def hasten(self) -> None:
        """There is a sign of life: it may be tried at once."""
        if self.state == "open":
            self._tried_from = self._clock()

    def open(self) -> None:
        """Leave it alone, each time in a row for twice as long."""
        self._tried_from = self._clock() + self._pause
        self._pause = min(2 * self._pause, LONGEST)
        self._ends.clear()
        self._row, self.trial = 0, None
        self.era += 1
        self._changed("open")

    def close(self) -> None:
        """It works."""
        if self._tried_from is not None:
            self._tried_from = self.trial = None
            self._changed("closed")

    def count(self, *, failed: bool) -> None:
        """A call of the present era ended."""
        self._ends.append((self._clock(), failed))
        if not failed:
            self._row, self._pause = 0, SHORTEST
            return
        self._row += 1
        if self._row >= IN_A_ROW or self._share_failed():
            self.open()

    def _share_failed(self) -> bool:
        since = self._clock() - WITHIN
        ends = [failed for at, failed in self._ends if at >= since]
        return len(ends) >= AT_LEAST and sum(ends) >= SHARE * len(ends)


class Call:
    """One call, as its circuit learns of it. Said twice is once."""

    def __init__(self, circuit: Circuit) -> None:
        self._circuit = circuit
        self._era = circuit.era
        self._tries = circuit.state == "half-open" and circuit.trial is None
        self._over = False

    @property
    def tries(self) -> bool:
        """Whether it is, or was, the one that tries."""
        return self._tries

    @property
    def _tells(self) -> bool:
        return not self._over and self._era == self._circuit.era

    def answered(self) -> None:
        """A first sign of life."""
        if self._tells:
            self._circuit.close()

    def ended(self) -> None:
        """It went well."""
        if self._tells:
            self._circuit.close()
            self._circuit.count(failed=False)
        self._over = True

    def failed(self) -> None:
        """By a fault of what was called. Of calls that are made while it is open only the one that tries is counted."""
        if self._tells:
            if self._tries:
                self._circuit.open()
            elif self._circuit.state == "closed":
                self._circuit.count(failed=True)
        self._over = True

    def let_go(self) -> None:
        """It ended without telling anything: another one may try."""
        self._over = True
        if self._circuit.trial is self:
            self._circuit.trial = None
