"""What a worker needs to write a lost log again."""

from collections.abc import Iterable
from dataclasses import dataclass

from contracts.commands import GenerateReply
from contracts.events import accepted
from contracts.generation import encode
from contracts.ports.streams import LogEvent, LostLog, Run, Snapshot
from workers.inference.claim import Claim


@dataclass(frozen=True)
class Before:
    """What stood in the log when this process claimed it: every event, with its id."""

    command: GenerateReply
    worker: str
    events: tuple[LogEvent, ...]

    def lost_log(self, claim: Claim, own: Iterable[tuple[bytes, int]]) -> LostLog:
        """The log whole: what stood there, then what this claim wrote, each under the id that followers know."""
        first = len(self.events)
        written = (
            LogEvent(f"{claim.epoch}-{first + number}", encoded, tokens) for number, (encoded, tokens) in enumerate(own)
        )
        return LostLog(
            question=self.command.question,
            starts_before=self.command.starts_before,
            deadline=self.command.deadline,
            worker=self.worker,
            epoch=claim.epoch,
            attempt=claim.attempt,
            cancel=claim.cancelled,
            events=(*self.events, *written),
        )


def stood_before(command: GenerateReply, worker: str, run: Run, found: Snapshot | None) -> Before | None:
    """What that claim found. `found`: the log as it was read then, not needed where nobody has written yet. None: not known."""
    if run.next == 1:
        only = LogEvent(f"{run.born}-0", encode(accepted(command.question)))
        return Before(command, worker, (only,))
    events = found.events[: run.next] if found is not None else ()
    return Before(command, worker, events) if len(events) == run.next else None
