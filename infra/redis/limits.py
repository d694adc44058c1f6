"""Rate limits that all edges share (GCRA in one script)."""

from types import TracebackType
from typing import Self

from contracts.ports.limits import Allowance, RateLimits
from infra.redis.connection import Connection
from infra.redis.scripts import scripts


class RedisRateLimits(RateLimits):
    """One key a limit, `limit:<key>`; it expires when the window is whole again. Entering raises Unavailable without Redis."""

    def __init__(self, url: str) -> None:
        self._connection = Connection(url, scripts("take"))

    async def __aenter__(self) -> Self:
        await self._connection.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._connection.__aexit__(kind, error, trace)

    async def take(self, key: str, limit: int, window: float) -> Allowance:
        """Raises Unavailable when Redis does not answer."""
        if limit <= 0:
            return Allowance(allowed=True, remaining=0, retry_after_ms=0, reset_ms=0)
        allowed, remaining, retry_after, reset = await self._connection.run(
            "take", 1, f"limit:{key}", limit, round(window * 1_000_000)
        )
        return Allowance(bool(allowed), remaining, retry_after, reset)
