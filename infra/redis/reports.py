"""What workers see of back-ends, in Redis: a hash of what each said last, and a sorted set of when, by Redis' own clock."""

from collections.abc import Sequence
from types import TracebackType
from typing import Self

import structlog
from pydantic import ValidationError

from contracts.ports.administration import BackendReports
from contracts.records import BackendReport
from infra.redis.connection import Connection
from infra.redis.keys import REPORTED, REPORTS
from infra.redis.scripts import scripts

log = structlog.get_logger()


class RedisBackendReports(BackendReports):
    """`keep`: seconds that a report counts. Entering raises Unavailable without Redis, and so does every call."""

    def __init__(self, url: str, *, keep: float = 10.0) -> None:
        self._connection = Connection(url, scripts("report"))
        self._keep_ms = round(keep * 1000)

    async def __aenter__(self) -> Self:
        await self._connection.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._connection.__aexit__(kind, error, trace)

    async def report(self, reports: Sequence[BackendReport]) -> None:
        said = [text for one in reports for text in (f"{one.worker} {one.backend}", one.model_dump_json())]
        if said:
            await self._connection.run("report", 2, REPORTS, REPORTED, self._keep_ms, *said)

    async def recent(self) -> Sequence[BackendReport]:
        said = await self._connection.run("report", 2, REPORTS, REPORTED, self._keep_ms)
        found = [one for one in map(_report, said) if one is not None]
        return sorted(found, key=lambda one: (one.backend, one.worker))


def _report(said: bytes) -> BackendReport | None:
    """None where it is not understood, as a newer worker's may be."""
    try:
        return BackendReport.model_validate_json(said)
    except ValidationError:
        log.warning("report_not_understood", begins=said[:80])
        return None
