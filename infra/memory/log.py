"""One generation's log in memory, and all logs of the process. Nothing here awaits, so every method is atomic."""

import asyncio
import random
import time
from dataclasses import dataclass, field, replace
from datetime import datetime

from contracts.commands import Question
from contracts.events import Outcome
from contracts.ports.lines import PoolLane
from contracts.ports.streams import Cancel, LogEvent, Snapshot, State
from contracts.shown import Shown, shown

OPEN_EXTRA = 3600.0
"""Seconds that an open log, and an open entry, outlives its hard deadline."""
CLOSED_FOR = 7 * 24 * 3600.0
RECORDED_FOR = 15 * 60.0


@dataclass
class Log:
    """Events and who may write them. `lease`, in seconds of `time.monotonic`: when it ends, or since when nobody holds one; other
    times in seconds since the epoch. `born`: the epoch of the first event. `spoke`: whether its owner's epoch has shown text."""

    question: Question
    starts_before: datetime
    deadline: datetime
    state: State = "admitted"
    epoch: int = 0
    owner: str | None = None
    lease: float = field(default_factory=time.monotonic)
    attempt: int = 0
    cancel: bool = False
    outcome: Outcome | None = None
    last_id: str | None = None
    expires: float = 0.0
    text_bytes: int = 0
    backend: str | None = None
    lane: PoolLane | None = None
    born: int = 0
    spoke: bool = False
    deaths: int = 0
    takeovers: int = 0
    events: list[LogEvent] = field(default_factory=list[LogEvent])
    followers: set[asyncio.Event] = field(default_factory=set[asyncio.Event])

    @property
    def next(self) -> int:
        """The seq of the event that comes next."""
        return len(self.events)

    def new_epoch(self) -> int:
        """An epoch that was never used, not even by an earlier log of this id."""
        minted = int(time.time() * 1000) * 1024 + random.randrange(1024)
        self.epoch = max(minted, self.epoch + 1 + random.randrange(1024))
        return self.epoch

    def add(self, encoded: bytes, tokens: int = 0) -> str:
        """Add one event under the log's epoch, wake followers; gives its id."""
        event = LogEvent(f"{self.epoch}-{self.next}", encoded, tokens)
        self.events.append(event)
        self.last_id = event.id
        self.wake()
        return f"{self.epoch}-{self.next - 1}"

    def wake(self) -> None:
        """Something changed: followers look again."""
        for follower in self.followers:
            follower.set()

    def leased(self) -> bool:
        """Whether a worker holds it and its lease has not run out."""
        return self.owner is not None and self.lease > time.monotonic()

    def shown(self) -> Shown:
        """What followers see of the reply."""
        return shown(event.encoded for event in self.events)

    def snapshot(self) -> Snapshot:
        """The log as it stands, its void part left out."""
        now = self.shown()
        return replace(
            self.head(), text=now.text, thinking=now.thinking, tool_calls=now.tool_calls, events=tuple(self.events)
        )

    def head(self) -> Snapshot:
        """The log as it stands, without its events."""
        return Snapshot(
            question=self.question,
            state=self.state,
            attempt=self.attempt,
            last_id=self.last_id,
            kind=self.outcome.kind if self.outcome else None,
            backend=self.backend,
            next=self.next,
            cancel=self.cancel,
            outcome=self.outcome,
            leased=self.leased(),
        )


@dataclass(frozen=True)
class Entry:
    """An open entry. `key`: the caller's own one of the request, where there was one."""

    question: Question
    deadline: datetime
    key: str | None = None


@dataclass
class Logs:
    """All logs, the open entries and slots of every person by generation, and the control channels of the workers of this process."""

    lease: float
    by_id: dict[str, Log] = field(default_factory=dict[str, Log])
    open: dict[str, dict[str, Entry]] = field(default_factory=dict[str, dict[str, Entry]])
    live: dict[str, dict[str, datetime]] = field(default_factory=dict[str, dict[str, datetime]])
    workers: dict[str, asyncio.Queue[Cancel]] = field(default_factory=dict[str, asyncio.Queue[Cancel]])
    _swept: float = field(default_factory=time.time)

    def get(self, generation_id: str) -> Log | None:
        """The log, unless it expired."""
        log = self.by_id.get(generation_id)
        if log is not None and log.expires < time.time():
            del self.by_id[generation_id]
            log.wake()
            return None
        return log

    def sweep(self) -> None:
        """Once a minute: forget what expired, so that memory is bounded by what is alive."""
        now = time.time()
        if now - self._swept < 60:
            return
        self._swept = now
        for generation_id in [one for one, log in self.by_id.items() if log.expires < now]:
            self.by_id.pop(generation_id).wake()
        for owner in {*self.open, *self.live}:
            self.trim(owner)

    def trim(self, owner: str) -> None:
        """Forget the person's entries and slots that are too old."""
        oldest = time.time() - OPEN_EXTRA
        ends = {one: entry.deadline for one, entry in self.open.get(owner, {}).items()} | self.live.get(owner, {})
        for generation_id in [one for one, end in ends.items() if end.timestamp() < oldest]:
            self.forget(owner, generation_id)

    def enter(self, entry: Entry) -> None:
        """It is open, and holds a slot of its person."""
        owner, generation_id = entry.question.owner, entry.question.generation_id
        self.open.setdefault(owner, {})[generation_id] = entry
        self.live.setdefault(owner, {})[generation_id] = entry.deadline

    def forget(self, owner: str, generation_id: str) -> Entry | None:
        """Remove the open entry, which is given back, and the slot."""
        self.settle(owner, generation_id)
        entry = self.open.get(owner, {}).pop(generation_id, None)
        if not self.open.get(owner, True):
            del self.open[owner]
        return entry

    def settle(self, owner: str, generation_id: str) -> None:
        """Free the slot."""
        self.live.get(owner, {}).pop(generation_id, None)
        if not self.live.get(owner, True):
            del self.live[owner]
