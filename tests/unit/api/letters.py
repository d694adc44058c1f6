"""A store of dead letters in memory that fails as it is told."""

from collections.abc import Awaitable, Callable
from datetime import datetime

from contracts.ports.stores import DeadLetters
from contracts.records import DeadLetter, DeadLetterStatus, Page


class MemoryDeadLetters(DeadLetters):
    """`before_deciding` is awaited before every decision; `fails[status]` is raised when a letter is to get that status."""

    def __init__(self, *letters: DeadLetter) -> None:
        self.kept = {one.id: one for one in letters}
        self.fails: dict[DeadLetterStatus, Exception] = {}
        self.before_deciding: Callable[[], Awaitable[None]] | None = None

    async def keep(self, letter: DeadLetter) -> None:
        self.kept.setdefault(letter.id, letter)

    async def page(self, limit: int, cursor: str | None, *, status: DeadLetterStatus | None = None) -> Page[DeadLetter]:
        found = sorted(self.kept.values(), key=lambda one: (one.died_at, one.id), reverse=True)
        found = [one for one in found if status in (None, one.status)]
        start = 0 if cursor is None else int(cursor)
        more = str(start + limit) if len(found) > start + limit else None
        return Page[DeadLetter](items=tuple(found[start : start + limit]), next_cursor=more)

    async def get(self, letter_id: str) -> DeadLetter | None:
        return self.kept.get(letter_id)

    async def decide(
        self,
        letter_id: str,
        status: DeadLetterStatus,
        *,
        by: str,
        at: datetime,
        replayed_as: str | None = None,
        before: DeadLetterStatus = "waiting",
    ) -> DeadLetter | None:
        if self.before_deciding is not None:
            await self.before_deciding()
        if status in self.fails:
            raise self.fails[status]
        letter = self.kept.get(letter_id)
        if letter is None or letter.status != before:
            return None
        decision = {"status": status, "decided_by": by, "decided_at": at, "replayed_as": replayed_as}
        self.kept[letter_id] = letter.model_copy(update=decision)
        return self.kept[letter_id]
