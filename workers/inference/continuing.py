"""Whether a run goes on from text that followers have seen, and how its first words join it (memory-bank/generation.md, section 7)."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from contracts.commands import GenerateReply
from contracts.ports.backend import Text
from contracts.ports.streams import Snapshot
from workers.inference.outcomes import Produced

Reason = Literal["worker_lost", "backend_lost", "log_lost"]


@dataclass(frozen=True)
class Earlier:
    """What followers may have seen of earlier attempts.

    reason: why that is void, unless this run goes on from it. shown: the log as it stood at the claim; None where it is not known.
    """

    reason: Reason
    shown: Snapshot | None = None


def resumable(command: GenerateReply, produced: Produced) -> bool:
    """Whether the reply so far is one to go on from: text alone, neither enforced nor meant to be the same at every run.

    A context that ends with words of the model's own is not answered anew: the reply so far would be a second such turn.
    """
    asked = command.think or command.tools or command.format is not None or command.options.seed is not None
    shown = produced.thinking or produced.tool_calls
    begun = command.context[-1:] and command.context[-1].role == "assistant"
    return not asked and not shown and not begun and any(not one.isspace() for one in produced.text)


class Straddling:
    """Finds a stop string that begins in what was shown and ends in what comes: the back-end sees only its own part.

    What may belong to one is held back. `stopped`: one was found; what of it was shown before stays.
    """

    def __init__(self, shown: str, stops: Sequence[str]) -> None:
        longest = max((len(one) for one in stops), default=0)
        self._shown = shown[-(longest - 1) :] if longest > 1 else ""
        self._stops = stops
        self._held: list[Text] = []
        self.stopped = False

    def take(self, piece: Text) -> list[Text]:
        """The pieces that can be shown now."""
        if not self._shown:
            return [piece]
        self._held.append(piece)
        seam = len(self._shown)
        joined = self._shown + "".join(one.text for one in self._held)
        for at in range(seam):
            rest = joined[at:]
            if any(rest.startswith(stop) and at + len(stop) > seam for stop in self._stops):
                self.stopped = True
                return []
        if any(stop.startswith(joined[at:]) for at in range(seam) for stop in self._stops):
            return []
        self._shown = ""
        return self.rest()

    def rest(self) -> list[Text]:
        """What is held back, once nothing more comes."""
        held, self._held = self._held, []
        return held
