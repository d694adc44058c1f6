"""`GenerationStreams` in the memory of one process, for the embedded platform: logs are gone with the process."""

from types import TracebackType
from typing import Self

from contracts.ports.streams import GenerationStreams
from infra.memory.admission import MemoryGenerationAdmission
from infra.memory.keys import Keys
from infra.memory.lines import Lines, MemoryGenerationWaiting
from infra.memory.log import Logs
from infra.memory.reading import MemoryGenerationReading
from infra.memory.sweeping import MemoryGenerationSweeping, Notes
from infra.memory.writing import MemoryGenerationWriting


class MemoryGenerationStreams(
    MemoryGenerationAdmission,
    MemoryGenerationWriting,
    MemoryGenerationReading,
    MemoryGenerationWaiting,
    MemoryGenerationSweeping,
    GenerationStreams,
):
    """Logs of one process and one event loop.

    Seconds: `lease` that a claim holds without being renewed; `look`, `stalled` as in the port's `Batch`.
    """

    def __init__(self, *, lease: float = 10.0, look: float = 5.0, stalled: float = 10.0) -> None:
        self._begin(lease)
        self.look = look
        self.stalled = stalled

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._begin(self.logs.lease)

    async def check(self) -> None:
        """Memory always answers."""

    def _begin(self, lease: float) -> None:
        self.logs, self.lines, self.keys, self.notes = Logs(lease), Lines(), Keys(), Notes()
