"""What was found out about models on back-ends, in Redis: workers have no other store."""

from types import TracebackType
from typing import Self

from pydantic import ValidationError

from contracts.ports.stores import Probes
from contracts.records import Probe
from infra.redis.connection import Connection
from infra.redis.keys import probes_of


class RedisProbes(Probes):
    """A hash for each back-end, a field for each model; lost with Redis' data, it is found out again. Entering raises Unavailable
    without Redis, and so does every call."""

    def __init__(self, url: str) -> None:
        self._connection = Connection(url)

    async def __aenter__(self) -> Self:
        await self._connection.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._connection.__aexit__(kind, error, trace)

    async def known(self, backend: str, model: str, digest: str | None) -> Probe | None:
        record = await self._connection.call("HGET", probes_of(backend), model)
        if record is None:
            return None
        try:
            probe = Probe.model_validate_json(record)
        except ValidationError:  # of a newer version, which says it otherwise
            return None
        return probe if probe.digest == digest else None

    async def keep(self, probe: Probe) -> None:
        await self._connection.call("HSET", probes_of(probe.backend), probe.model, probe.model_dump_json())
