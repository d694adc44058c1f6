"""One claim of one generation, and what its holder has learned about it since."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

from contracts.ports.streams import Answer, Appended, Gap, Renewed

FIRST_PAUSE, LONGEST_PAUSE = 0.05, 2.0
"""Seconds between tries at a server that does not answer."""


class Fenced(Exception):
    """Somebody else holds the generation now: drop the run."""


def _nobody() -> None:
    """Nobody writes under this claim."""


@dataclass(eq=False)
class Claim:
    """Held under `epoch`.

    `clean`: nothing happened since the claim that could make the log differ from what this process knows; only then may it
    close the log by itself. `missing`: the log is gone, its writer writes it again. `log_lost`: there is no log to write to
    any more.
    """

    generation_id: str
    epoch: int
    attempt: int
    clean: bool
    missing: bool = False
    log_lost: bool = False
    cancelled: bool = False
    fenced: bool = False
    restores: Callable[[], None] = _nobody
    """Told when the log is missing."""
    _stopped: asyncio.Event = field(default_factory=asyncio.Event)

    async def stopped(self) -> None:
        """Returns when the run should stop: cancelled or fenced."""
        await self._stopped.wait()

    def cancel(self) -> None:
        """Somebody wants it to end."""
        self.cancelled = True
        self._stopped.set()

    def fence(self) -> None:
        """Another epoch stands in the log, or what stands there cannot be gone on with: claiming again tells what it is."""
        self.fenced, self.clean = True, False
        self._stopped.set()

    def disconnected(self) -> None:
        """The streams did not answer once: what they know now may not be what this process knows."""
        self.clean = False

    def miss_log(self) -> None:
        """The log vanished: whoever writes under this claim is to write it again."""
        self.missing, self.clean = True, False
        self.restores()

    def lose_log(self) -> None:
        """Nothing can be written any more: the generation goes on, its outcome will be published unsealed."""
        self.missing, self.log_lost, self.clean = False, True, False

    @property
    def writable(self) -> bool:
        """Whether appending still makes sense."""
        return not (self.log_lost or self.fenced)

    def note(self, answer: Appended | Renewed | Gap | Answer) -> None:
        """Learn from an answer to append, renew or restore."""
        match answer:
            case Appended() | Renewed():
                if answer.cancel:
                    self.cancel()
            case Answer.NOLOG:
                self.miss_log()
            case Answer.FENCED | Answer.EXISTS | Answer.CLOSED:
                self.fence()  # CLOSED by somebody else: claiming again tells what stands
            case _:
                self.clean = False
