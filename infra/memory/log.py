"""One generation's log in memory, and all logs of the process. Nothing here awaits, so every method is atomic."""

import asyncio
import random
import time
from dataclasses import dataclass, field
from datetime import datetime

from contracts.commands import Question
from contracts.events import Outcome
from contracts.ports.streams import Cancel, LogEvent, PoolLane, Snapshot, State
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
        return Snapshot(
            question=self.question,
            state=self.state,
            attempt=self.attempt,
            text=now.text,
            thinking=now.thinking,
            tool_calls=now.tool_calls,
            last_id=self.last_id,
            kind=self.outcome.kind if self.outcome else None,
            backend=self.backend,
            next=self.next,
            cancel=self.cancel,
            outcome=self.outcome,
            events=tuple(self.events),
        )


@dataclass
class Logs:
    """All logs, the open entries of every person, and the control channels of the workers of this process."""

    lease: float
    by_id: dict[str, Log] = field(default_factory=dict[str, Log])
    open: dict[str, dict[str, tuple[Question, datetime]]] = field(
        default_factory=dict[str, dict[str, tuple[Question, datetime]]]
    )
    live: dict[str, set[str]] = field(default_factory=dict[str, set[str]])
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
        for owner in list(self.open):
            for generation_id in [g for g, (_, end) in self.open[owner].items() if end.timestamp() + OPEN_EXTRA < now]:
                self.forget(owner, generation_id)

    def entries(self, owner: str) -> list[Question]:
        """The person's open entries that are not too old."""
        oldest = time.time() - OPEN_EXTRA
        return [question for question, end in self.open.get(owner, {}).values() if end.timestamp() >= oldest]

    def forget(self, owner: str, generation_id: str) -> None:
        """Remove the open entry and the slot."""
        for entries in (self.open, self.live):
            mine = entries.get(owner)
            if mine is None:
                continue
            mine.pop(generation_id, None) if isinstance(mine, dict) else mine.discard(generation_id)
            if not mine:
                del entries[owner]
