"""Administrators' commands while they run, and the record of who did what."""

from collections.abc import AsyncGenerator, Sequence
from datetime import datetime
from typing import Protocol

from contracts.administration import (
    AdminCommand,
    AuditEntry,
    AuditOutcome,
    CommandError,
    CommandStatus,
    Step,
    StepProgress,
    StepResult,
)
from contracts.ports.streams import Batch
from contracts.records import BackendReport, Page


class Commands(Protocol):
    """Every command, from its acceptance on. Each change is one atomic update: any worker may make it at any time.

    Kept for 90 days after its end; what goes on is kept until it ends.
    """

    async def add(self, command: AdminCommand) -> AdminCommand:
        """Keep a new one; where there is one of that id already, that one stays. Gives the one that is kept."""
        ...

    async def get(self, command_id: str) -> AdminCommand | None: ...

    async def page(
        self, limit: int, cursor: str | None, *, status: CommandStatus | None = None, model: str | None = None
    ) -> Page[AdminCommand]:
        """The newest first. Raises ValueError for a cursor that it did not make."""
        ...

    async def unfinished(self) -> Sequence[AdminCommand]:
        """Those that have not ended, the oldest first; 1,000 at most."""
        ...

    async def start(self, command_id: str, targets: Sequence[str], at: datetime) -> AdminCommand | None:
        """From queued to running, with its targets; the command as it is now (unchanged where it was not queued), None where it is unknown."""
        ...

    async def note_progress(self, command_id: str, progress: StepProgress) -> None:
        """How far the step of that target (`progress.backend`) has come; nothing where the command has ended."""
        ...

    async def note_result(self, command_id: str, target: str, result: StepResult) -> AdminCommand | None:
        """How the step of a target ended, the first one stays; the command as it is now. Nothing changes where it has ended."""
        ...

    async def end(
        self, command_id: str, status: CommandStatus, at: datetime, error: CommandError | None = None
    ) -> AdminCommand | None:
        """The one end: the command as it ended by this call; None where it had ended already, or is unknown."""
        ...

    async def forget(self, command_id: str) -> None:
        """It was never accepted: what `add` kept is gone, if it is still queued."""
        ...


class Steps(Protocol):
    """What is to be done, each step by one worker at a time."""

    async def attach(self, step: Step, command_id: str) -> Step:
        """Have the command wait for the step of that key, which is made where there is none. Harmless when repeated. The step as it is now."""
        ...

    async def detach(self, key: str, command_id: str) -> None:
        """The command does not wait for it any more; a step nobody waits for is left to its holder, or removed where nobody holds it."""
        ...

    async def take(self, holder: str, seconds: float, most: int) -> Sequence[Step]:
        """Up to `most` steps that nobody holds (any more), the oldest first, each under a new epoch and a lease of so many seconds.

        Those that nobody waits for either, because their holder died with them, are removed and never given.
        """
        ...

    async def renew(self, step: Step, holder: str, seconds: float) -> Step | None:
        """Prolong the lease, also one that ran out while nobody took it; the step as it is now, with those who wait for it.

        None where it is somebody else's, or gone.
        """
        ...

    async def release(self, step: Step, holder: str) -> None:
        """Let go: anybody may take it at once; one that nobody waits for is removed."""
        ...

    async def finish(self, step: Step, holder: str) -> bool:
        """Remove it, if it is still this holder's and nobody attached or detached since `step` was read (its `changes`)."""
        ...

    async def concerning(self, model: str) -> Sequence[Step]:
        """The steps about that model that somebody waits for."""
        ...


class Audit(Protocol):
    """Who did what, in the last 90 days."""

    async def note(self, entry: AuditEntry) -> None:
        """Keep an entry; one of that id that is there already stays as it is."""
        ...

    async def settle(
        self, entry_id: str, outcome: AuditOutcome, at: datetime, error: CommandError | None = None
    ) -> None:
        """What came of it; the first outcome stays. An entry that is not there is left alone."""
        ...

    async def page(
        self,
        limit: int,
        cursor: str | None,
        *,
        actor: str | None = None,
        action: str | None = None,
        subject: str | None = None,
    ) -> Page[AuditEntry]:
        """The newest first. Raises ValueError for a cursor that it did not make."""
        ...


class CommandLogs(Protocol):
    """The streams of commands. A log is only told from: the store knows how a command stands, so what is lost here is made up for."""

    async def tell(self, command_id: str, accepted: bytes, events: Sequence[bytes]) -> None:
        """Add encoded events, in order, and publish them live; a log that is not there (any more) begins with `accepted` first.

        After a terminal event nothing is added. Kept for 24 h after the last event, at most 10,000 events: beyond them only
        the terminal one is added. Raises Unavailable.
        """
        ...

    def follow(self, command_id: str, after: str | None = None) -> AsyncGenerator[Batch, None]:
        """As GenerationReading.follow: from its start, or after the event of that id, then live, ending after the terminal event;
        an id that the log does not hold gives everything (no `restarted`: progress is no text). At least every 5 s a batch,
        empty if nothing came. Raises LogMissing, Unavailable."""
        ...


class BackendReports(Protocol):
    """What workers see of back-ends from their own traffic. Nothing of it outlives 10 s without being said again."""

    async def report(self, reports: Sequence[BackendReport]) -> None:
        """Say these, each in the place of what that worker said of that back-end before. Raises Unavailable."""
        ...

    async def recent(self) -> Sequence[BackendReport]:
        """What was said within the last 10 s, by the technology's clock. Raises Unavailable."""
        ...
