"""What was admitted and not noted as recorded, in the memory of one process."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from contracts.ports.lines import Due, GenerationSweeping

NOTED_FOR = 8 * 24 * 3600.0
"""Seconds: a day longer than a log that nobody recorded."""


@dataclass
class Notes:
    """By generation, in the order in which they were noted; with when that was, in seconds of `time.monotonic`."""

    by_id: dict[str, tuple[Due, float]] = field(default_factory=dict[str, tuple[Due, float]])

    def note(self, owner: str, generation_id: str, deadline: datetime) -> None:
        """Somebody is to look whether it was recorded, once that deadline has passed."""
        while self.by_id and next(iter(self.by_id.values()))[1] < time.monotonic() - NOTED_FOR:
            del self.by_id[next(iter(self.by_id))]
        self.by_id[generation_id] = (Due(owner, generation_id, deadline), time.monotonic())

    def forget(self, owner: str, generation_id: str) -> None:
        """Nothing of it is left to do."""
        noted = self.by_id.get(generation_id)
        if noted is not None and noted[0].owner == owner:
            del self.by_id[generation_id]


class MemoryGenerationSweeping(GenerationSweeping):
    """The process's own notes."""

    notes: Notes

    async def due(self, before: datetime, limit: int) -> Sequence[Due]:
        late = [due for due, _ in self.notes.by_id.values() if due.deadline < before]
        return sorted(late, key=lambda due: due.deadline)[:limit]

    async def swept(self, owner: str, generation_id: str) -> None:
        self.notes.forget(owner, generation_id)
