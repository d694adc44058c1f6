"""The log of every generation, and who may write it. `../../memory-bank/generation.md` is the protocol that this port names.

Five ports, one adapter: edges admit (`GenerationAdmission`), workers and history write (`GenerationWriting`), followers read
(`GenerationReading`), both know who waits (`GenerationWaiting`), history closes what nobody ended (`GenerationSweeping`). Everything
but `append` may be repeated at will. Every call raises Unavailable when the technology does
not answer.
"""

from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Literal, Protocol

from contracts.commands import Lane, Question
from contracts.events import Outcome
from contracts.generation import ToolCallData
from contracts.ports.lines import GenerationSweeping, GenerationWaiting, PoolLane

State = Literal["admitted", "accepted", "running", "sealed", "closed", "aborted"]


class Answer(StrEnum):
    """Answers without values."""

    OK = "OK"
    ABORTED = "ABORTED"
    ACCEPTED = "ACCEPTED"
    CANCELLED = "CANCELLED"
    CLOSED = "CLOSED"
    EXISTS = "EXISTS"
    EXPIRED = "EXPIRED"
    FENCED = "FENCED"
    MISMATCH = "MISMATCH"
    NOLOG = "NOLOG"
    NOT_FOUND = "NOTFOUND"
    NOT_SEALED = "NOT_SEALED"
    QUARANTINE = "QUARANTINE"
    RUNNING = "RUNNING"
    TOO_BIG = "TOO_BIG"


@dataclass(frozen=True)
class IdempotencyKey:
    """A caller's own key of a request, and the hash of its body (hexadecimal)."""

    value: str
    sha: str


@dataclass(frozen=True)
class Admitted:
    lane: Lane


@dataclass(frozen=True)
class Same:
    """That key, or that very generation, was admitted before as this one."""

    generation_id: str


@dataclass(frozen=True)
class Limited:
    """The person has as many live generations as one may have; `ms`: until the first of them is past its hard deadline."""

    ms: int


@dataclass(frozen=True)
class ReplyOpen:
    """A reply of that branch is still being written."""

    generation_id: str


@dataclass(frozen=True)
class Created:
    epoch: int


@dataclass(frozen=True)
class Exists:
    state: State


@dataclass(frozen=True)
class Run:
    """Claimed: append under `epoch`, beginning at seq `next`. `attempt` from 1. `cancel`: end it as cancelled.

    `shown`: the log already holds text of an earlier attempt. `deaths`: workers that ended in a row without showing any.
    `born`: the epoch of the log's first event.
    """

    epoch: int
    next: int
    attempt: int
    cancel: bool
    shown: bool = False
    deaths: int = 0
    born: int = 0


@dataclass(frozen=True)
class Held:
    """Another worker's lease lives for `ms` more."""

    owner: str
    ms: int


@dataclass(frozen=True)
class Sealed:
    """The outcome stands; publish it."""

    outcome: Outcome


@dataclass(frozen=True)
class Appended:
    next: int
    cancel: bool


@dataclass(frozen=True)
class Gap:
    """The log expects seq `next`: append again from there, under the same ids."""

    next: int


@dataclass(frozen=True)
class Renewed:
    cancel: bool


@dataclass(frozen=True)
class Closed:
    """The terminal event stands in the log under this id."""

    last_id: str


@dataclass(frozen=True)
class Flagged:
    """The owner (None: nobody) will end it as cancelled."""

    owner: str | None


@dataclass(frozen=True)
class ClosedAs:
    kind: str


@dataclass(frozen=True)
class Cancel:
    """A word on a worker's control channel."""

    generation_id: str
    epoch: int


@dataclass(frozen=True)
class LogEvent:
    """One event of a log. `id` is `<epoch>-<seq>`; None for the `restarted` that a follower gets before a log it did not know.

    `tokens`: those in it, as they were appended, where a whole log is read (`Snapshot.events`) or written (`LostLog.events`); what
    followers get need not tell.
    """

    id: str | None
    encoded: bytes
    tokens: int = field(default=0, compare=False)


@dataclass(frozen=True)
class LostLog:
    """A log that is gone, as the worker knows it that ran its generation under `epoch`: whole, with every event's id."""

    question: Question
    starts_before: datetime
    deadline: datetime
    worker: str
    epoch: int
    attempt: int
    cancel: bool
    events: tuple[LogEvent, ...]


@dataclass(frozen=True)
class Batch:
    """What a follower gets at once. `stalled`: no live lease and no end for 10 s, or nothing new for 5 s of that: look in the store."""

    events: tuple[LogEvent, ...] = ()
    stalled: bool = False


@dataclass(frozen=True)
class Snapshot:
    """A log as it stands: the void part of it left out."""

    question: Question
    state: State
    attempt: int
    text: str = ""
    thinking: str = ""
    tool_calls: tuple[ToolCallData, ...] = field(default=())
    last_id: str | None = None
    kind: str | None = None
    """The outcome's kind, once sealed."""
    backend: str | None = None
    next: int = 0
    cancel: bool = False
    outcome: Outcome | None = None
    """Once sealed."""
    leased: bool = False
    """Whether a worker holds it whose lease has not run out."""
    events: tuple[LogEvent, ...] = ()
    """All of them, the void ones too."""


class GenerationAdmission(Protocol):
    """The edge's side."""

    async def admit(
        self,
        question: Question,
        *,
        explicit_parent: bool,
        deadline: datetime,
        key: IdempotencyKey | None = None,
        cap: int = 20,
        batch: bool = False,
    ) -> Admitted | Same | ReplyOpen | Limited | Answer:
        """Note it for the sweep, then enter the open entry of the person, atomically.

        Same: that key, or this very id, was admitted before (kept 24 h). MISMATCH: that key with another body. ReplyOpen: a
        live generation of that chat writes the branch (`explicit_parent`: only one whose reply or question is that very
        parent counts). Limited: `cap` generations of that person live. Else the lane: `batch`, or `interactive` while
        fewer than 2 others live, or `bulk`. What is not admitted leaves nothing.
        """
        ...

    async def repeated(self, owner: str, key: IdempotencyKey) -> Same | Answer | None:
        """What `admit` would say to that key alone: Same, MISMATCH, or None where it is new."""
        ...

    async def create(
        self, question: Question, *, starts_before: datetime, deadline: datetime, lane: PoolLane | None = None
    ) -> Created | Exists:
        """Make the log, state admitted, with `accepted` as seq 0; then it waits in that lane's line, until a claim, a cancel, an
        abort or a seal takes it out."""
        ...

    async def confirm(self, generation_id: str) -> Answer:
        """OK | ABORTED | NOLOG"""
        ...

    async def abort(self, generation_id: str) -> Answer:
        """OK (only from admitted, or no log) | ACCEPTED | RUNNING | CLOSED"""
        ...

    async def drop(self, owner: str, generation_id: str) -> None:
        """It never happened: the open entry, the slot, the key that named it and the sweep's note are gone."""
        ...

    async def leave(self, owner: str, generation_id: str) -> None:
        """It is recorded: the open entry and the slot are gone. The key stays, and finds the record."""
        ...

    async def settle(self, owner: str, generation_id: str) -> None:
        """Free the person's slot; the open entry stays until it is recorded."""
        ...

    async def cancel(self, owner: str, generation_id: str, outcome: Outcome) -> Sealed | Flagged | ClosedAs | Answer:
        """Sealed: it had shown nothing and nobody ran it; publish this outcome. Flagged: the owner was told.
        ClosedAs, Sealed with another outcome: too late. ABORTED | NOTFOUND (also somebody else's)."""
        ...


class GenerationWriting(Protocol):
    """The side of workers and history."""

    async def claim(self, generation_id: str, worker: str, *, suspects: bool = True) -> Run | Held | Sealed | Answer:
        """Take it under a new epoch, if its owner is gone, let go, or is this process. Answers CLOSED, ABORTED, EXPIRED, QUARANTINE, NOLOG.

        Taking it from an owner that is gone and had shown no text under its epoch counts as a death, text sets them back to
        none; after two deaths, or ten such takings, QUARANTINE. `suspects` False: this process runs one with deaths already,
        another such one is Held.
        """
        ...

    async def append(
        self, generation_id: str, epoch: int, expected: int, events: Sequence[tuple[bytes, int]]
    ) -> Appended | Gap | Answer:
        """Add encoded events (each with its number of tokens) as seq `expected`, `expected`+1, …, and publish them live. Seqs that stand
        already are skipped. FENCED | CLOSED | NOLOG | TOO_BIG (1 MiB of text)."""
        ...

    async def renew(self, generation_id: str, epoch: int) -> Renewed | Answer:
        """Keep the lease for another 10 s. FENCED | NOLOG"""
        ...

    async def release(self, generation_id: str, epoch: int) -> Answer:
        """Let go for somebody else. OK | FENCED | NOLOG"""
        ...

    async def restore(self, lost: LostLog) -> Answer:
        """Write a lost log again, whole, held by that worker under that epoch. OK | EXISTS (somebody began it anew: as FENCED)"""
        ...

    async def seal(
        self, generation_id: str, epoch: int | None, expected: int, outcome: Outcome
    ) -> Gap | Sealed | Answer:
        """Fix the outcome (epoch None: by somebody who is not its worker; raises the epoch). OK | FENCED | CLOSED | CANCELLED (a cancel
        came first: seal that) | ABORTED | NOLOG; Sealed: an outcome stood already."""
        ...

    async def close(self, generation_id: str, epoch: int) -> Closed | Answer:
        """Show the sealed outcome. Closed also when repeated. FENCED | NOT_SEALED | NOLOG"""
        ...

    async def recorded(self, generation_id: str, outcome: Outcome) -> Closed | Answer:
        """The store holds this outcome: end the log with exactly its text (`restarted` and the whole text where it differs). NOLOG"""
        ...

    def control(self, worker: str) -> AbstractAsyncContextManager[AsyncIterator[Cancel]]:
        """The control channel of one worker process. Subscribed means alive. The iterator raises Unavailable when the subscription is lost."""
        ...


class GenerationReading(Protocol):
    """The side of followers."""

    def follow(self, generation_id: str, after: str | None = None) -> AsyncGenerator[Batch, None]:
        """The log from its start, or after the event of that id, then live, ending after the terminal event.

        An `after` that the log does not hold gives `restarted` without an id and everything. At least every 5 s a batch, empty
        if nothing came. Raises LogMissing when there is no log (any more). A slow reader falls back to the log.
        """
        ...

    async def open(self, owner: str) -> Sequence[Question]:
        """The person's generations that the store may not have yet."""
        ...

    async def head(self, generation_id: str) -> Snapshot | None:
        """How a log stands, an aborted one too, without its events: no text, thinking or calls. None where there is none."""
        ...

    async def read(self, generation_ids: Sequence[str]) -> Sequence[Snapshot | None]:
        """Each log as it stands now; None where there is none."""
        ...


class GenerationStreams(
    GenerationAdmission, GenerationWriting, GenerationReading, GenerationWaiting, GenerationSweeping, Protocol
):
    """All five: what an adapter is. An adapter is an async context manager."""

    async def check(self) -> None:
        """Raises Unavailable when the technology does not answer, or is configured so that it may lose logs."""
        ...
