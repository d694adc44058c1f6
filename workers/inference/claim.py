"""One claim of one generation, and what its holder has learned about it since."""

import asyncio
from dataclasses import dataclass, field

from contracts.ports.streams import Answer, Appended, Gap, Renewed

FIRST_PAUSE, LONGEST_PAUSE = 0.05, 2.0
"""Seconds between tries at a server that does not answer."""


class Fenced(Exception):
    """Somebody else holds the generation now: drop the run."""


@dataclass(eq=False)
class Claim:
    """Held under `epoch`.

    `clean`: nothing happened since the claim that could make the log differ from what this process knows; only then may it
    close the log by itself. `log_lost`: there is no log to write to any more.
    """

    generation_id: str
    epoch: int
    attempt: int
    clean: bool
    log_lost: bool = False
    cancelled: bool = False
    fenced: bool = False
    _stopped: asyncio.Event = field(default_factory=asyncio.Event)

    async def stopped(self) -> None:
        """Returns when the run should stop: cancelled or fenced."""
        await self._stopped.wait()

    def cancel(self) -> None:
        """Somebody wants it to end."""
        self.cancelled = True
        self._stopped.set()

    def fence(self) -> None:
        """Another epoch stands in the log."""
        self.fenced, self.clean = True, False
        self._stopped.set()

    def disconnected(self) -> None:
        """The streams did not answer once: what they know now may not be what this process knows."""
        self.clean = False

    def lose_log(self) -> None:
        """The log vanished: the generation goes on, its outcome will be published unsealed."""
        self.log_lost, self.clean = True, False

    @property
    def writable(self) -> bool:
        """Whether appending still makes sense."""
        return not (self.log_lost or self.fenced)

    def note(self, answer: Appended | Renewed | Gap | Answer) -> None:
        """Learn from an answer to append or renew."""
        match answer:
            case Appended() | Renewed():
                if answer.cancel:
                    self.cancel()
            case Answer.NOLOG:
                self.lose_log()
            case Answer.FENCED | Answer.CLOSED:  # closed by somebody else: claiming again tells what stands
                self.fence()
            case _:
                self.clean = False
