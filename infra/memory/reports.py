"""What workers see of back-ends, in the memory of one process."""

import time
from collections.abc import Sequence

from contracts.ports.administration import BackendReports
from contracts.records import BackendReport


class MemoryBackendReports(BackendReports):
    """Of one process and one event loop. `keep`: seconds that a report counts."""

    def __init__(self, *, keep: float = 10.0) -> None:
        self._keep = keep
        self._said: dict[tuple[str, str], tuple[float, BackendReport]] = {}

    async def report(self, reports: Sequence[BackendReport]) -> None:
        self._forget()
        now = time.monotonic()
        self._said.update({(one.backend, one.worker): (now, one) for one in reports})

    async def recent(self) -> Sequence[BackendReport]:
        self._forget()
        return [self._said[key][1] for key in sorted(self._said)]

    def _forget(self) -> None:
        oldest = time.monotonic() - self._keep
        self._said = {key: (at, one) for key, (at, one) in self._said.items() if at >= oldest}
