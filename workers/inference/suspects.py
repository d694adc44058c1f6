"""At most one generation whose worker died without a word runs here at a time: a poison takes no second one along."""

from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass


@dataclass(eq=False)
class Chance:
    """What a claim may take. `suspects`: also one whose workers died."""

    suspects: bool
    _of: "Suspects"

    def claimed(self, deaths: int) -> None:
        """It took one with so many deaths; 0: another claim may take a suspect now."""
        if deaths == 0:
            self.end()

    def end(self) -> None:
        """Somebody else may take a suspect; harmless when done twice."""
        if self.suspects:
            self.suspects, self._of.taken = False, False


class Suspects:
    """The one chance of this process. A claim has it until it is known to have taken no suspect, else until the run ends."""

    def __init__(self) -> None:
        self.taken = False

    @contextmanager
    def chance(self) -> Generator[Chance, None, None]:
        """For one claim and the run that follows. While another one has the chance, suspects are held for this one."""
        chance = Chance(not self.taken, self)
        self.taken = True
        try:
            yield chance
        finally:
            chance.end()
