"""A small model of the protocol (`memory-bank/generation.md`): what one log answers, if it is right.

It keeps no time: a lease holds until somebody says that it is over. It mints no epochs: it is told what the adapter gave.
"""

from collections.abc import Container, Sequence
from dataclasses import dataclass, replace

from contracts.events import Outcome, terminal_event
from contracts.generation import encode, name_of
from contracts.ports.streams import (
    Answer,
    Appended,
    Closed,
    ClosedAs,
    Exists,
    Flagged,
    Gap,
    Held,
    LogEvent,
    LostLog,
    Renewed,
    Run,
    Sealed,
    State,
)
from contracts.shown import Shown, shown

NOBODYS = -1
"""The epoch after somebody sealed or recorded who does not write: nobody holds it."""
TEXT = ("token", "thinking", "tool_call")


@dataclass
class Log:
    """One log as it should stand."""

    born: int
    events: tuple[LogEvent, ...]
    epoch: int
    state: State = "accepted"
    owner: str | None = None
    leased: bool = False
    attempt: int = 0
    cancel: bool = False
    outcome: Outcome | None = None
    spoke: bool = False
    deaths: int = 0
    takeovers: int = 0

    @property
    def next(self) -> int:
        return len(self.events)

    @property
    def shown(self) -> Shown:
        return shown(one.encoded for one in self.events)

    def copy(self) -> "Log":
        return replace(self)

    def claim(
        self, worker: str, living: Container[str], *, suspects: bool, overdue: bool
    ) -> Run | Held | Sealed | Answer:
        """Run with epoch 0, which `run_under` is told."""
        if self.state == "closed":
            return Answer.CLOSED
        if self.outcome is not None:
            return Sealed(self.outcome)
        taken = self.owner not in (None, worker)
        if taken and self.leased and self.owner in living:
            return Held(str(self.owner), 0)
        if self.attempt == 0 and overdue:
            return Answer.EXPIRED
        deaths, takeovers = self.deaths, self.takeovers
        if deaths < 2 and takeovers < 10:
            deaths, takeovers = 0 if self.spoke else deaths + taken, takeovers + taken
        if deaths and not suspects:
            return Held(self.owner or "", 250)
        self.deaths, self.takeovers = deaths, takeovers
        if deaths >= 2 or takeovers >= 10:
            return Answer.QUARANTINE
        self.state, self.owner, self.leased, self.spoke, self.attempt = "running", worker, True, False, self.attempt + 1
        return Run(0, self.next, self.attempt, self.cancel, self.shown != Shown(), deaths, self.born)

    def append(self, epoch: int, expected: int, events: Sequence[tuple[bytes, int]]) -> Appended | Gap | Answer:
        if epoch != self.epoch:
            return Answer.FENCED
        if self.state != "running":
            return Answer.CLOSED
        if expected > self.next:
            return Gap(self.next)
        for encoded, tokens in events[self.next - expected :]:
            self.events += (LogEvent(f"{epoch}-{self.next}", encoded, tokens),)
            self.spoke = self.spoke or name_of(encoded) in TEXT
        return Appended(self.next, self.cancel)

    def renew(self, epoch: int) -> Renewed | Answer:
        if epoch != self.epoch:
            return Answer.FENCED
        self.leased = True
        return Renewed(self.cancel)

    def release(self, epoch: int) -> Answer:
        if epoch != self.epoch:
            return Answer.FENCED
        self.owner, self.leased = None, False
        self.state = "accepted" if self.state == "running" else self.state
        return Answer.OK

    def seal(self, epoch: int | None, expected: int, outcome: Outcome) -> Gap | Sealed | Answer:
        if epoch not in (None, self.epoch):
            return Answer.FENCED
        if self.state == "closed":
            return Answer.CLOSED
        if self.outcome is not None:
            return Sealed(self.outcome) if epoch is None else Answer.OK
        if expected != self.next:
            return Gap(self.next)
        if self.cancel and outcome.kind != "cancelled":
            return Answer.CANCELLED
        self.state, self.outcome = "sealed", outcome
        self.epoch = self.epoch if epoch is not None else NOBODYS
        return Answer.OK

    def close(self, epoch: int) -> Closed | Answer:
        if epoch != self.epoch:
            return Answer.FENCED
        if self.state == "closed":
            return Closed(str(self.events[-1].id))
        if self.outcome is None:
            return Answer.NOT_SEALED
        self.events += (LogEvent(f"{epoch}-{self.next}", encode(terminal_event(self.outcome))),)
        self.state, self.owner, self.leased = "closed", None, False
        return Closed(str(self.events[-1].id))

    def cancelled(self, outcome: Outcome) -> Sealed | Flagged | ClosedAs:
        if self.outcome is not None:
            return ClosedAs(self.outcome.kind) if self.state == "closed" else Sealed(self.outcome)
        if self.owner is None and self.shown == Shown():
            self.state, self.outcome, self.epoch = "sealed", outcome, NOBODYS
            return Sealed(outcome)
        self.cancel = True
        return Flagged(self.owner)


def created(epoch: int, event: LogEvent) -> Log:
    """As `create` leaves it."""
    return Log(epoch, (event,), epoch, state="admitted")


def exists(log: Log) -> Exists:
    """What `create` says where one stands."""
    return Exists(log.state)


def restored(lost: LostLog) -> Log:
    """What a worker wrote again."""
    first = str(lost.events[0].id).partition("-")[0]
    own = [one for one in lost.events if str(one.id).startswith(f"{lost.epoch}-")]
    return Log(
        int(first), lost.events, lost.epoch, "running", lost.worker, leased=True, attempt=lost.attempt, cancel=lost.cancel,
        spoke=any(name_of(one.encoded) in TEXT for one in own),
    )  # fmt: skip
