"""What operators ask a process, on a port of its own: `/livez`, `/readyz`, `/metrics`."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import orjson
import structlog
from prometheus_client import CONTENT_TYPE_LATEST, REGISTRY, generate_latest

log = structlog.get_logger()

Check = Callable[[], Awaitable[None]]
"""Returns when all is well, raises otherwise."""
CHECK_TIMEOUT = 2.0
"""Seconds that one check may take."""
_JSON = b"application/json"


class Ops:
    """Whether this process lives and is ready.

    Not ready (503, naming what is missing) until `ready_when` was called, while a server that it needs does not answer,
    and from the moment it is asked to end.
    """

    def __init__(self) -> None:
        self._checks: dict[str, Check] = {}
        self._waiting: dict[str, str] = {"start": "the process is starting"}
        self._told: set[str] = set()

    def ready_when(self, checks: Mapping[str, Check]) -> None:
        """The process has started and is ready while all these pass; called again, they replace the earlier ones."""
        self._checks = dict(checks)
        self._waiting.pop("start", None)

    def waits_for(self, name: str, why: str) -> None:
        """Not ready, for this reason, until `has(name)`."""
        self._waiting[name] = why

    def has(self, name: str) -> None:
        """What was waited for is there."""
        self._waiting.pop(name, None)

    async def missing(self) -> dict[str, str]:
        """What keeps it from being ready now, by name; empty when it is ready. Takes at most 2 s."""
        results = await asyncio.gather(*(_tried(check) for check in self._checks.values()))
        found = {name: why for name, why in zip(self._checks, results, strict=True) if why}
        self._tell(found)
        return {**self._waiting, **found}

    def _tell(self, found: Mapping[str, str]) -> None:
        for name in found.keys() - self._told:
            log.warning("not_ready", missing=name, why=found[name])
        for name in self._told - found.keys():
            log.info("ready_again", found=name)
        self._told = set(found)

    async def __call__(
        self, scope: dict[str, Any], receive: Callable[[], Awaitable[Any]], send: Callable[..., Any]
    ) -> None:
        """The ASGI app."""
        if scope["type"] != "http":
            return
        status, kind, body = await self._answer(scope["path"])
        headers = [
            (b"content-type", kind),
            (b"content-length", str(len(body)).encode()),
            (b"cache-control", b"no-store"),
        ]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else body})

    async def _answer(self, path: str) -> tuple[int, bytes, bytes]:
        if path == "/livez":
            return 200, _JSON, b'{"status":"alive"}'
        if path == "/readyz":
            missing = await self.missing()
            body = {"status": "not ready", "missing": missing} if missing else {"status": "ready"}
            return (503 if missing else 200), _JSON, orjson.dumps(body)
        if path == "/metrics":
            return 200, CONTENT_TYPE_LATEST.encode(), generate_latest(REGISTRY)
        return 404, _JSON, b'{"status":"there are /livez, /readyz and /metrics"}'


async def _tried(check: Check) -> str | None:
    try:
        async with asyncio.timeout(CHECK_TIMEOUT):
            await check()
    except TimeoutError:
        return f"no answer within {CHECK_TIMEOUT:g} s"
    except Exception as error:  # noqa: BLE001 - whatever a check raises means not ready
        return str(error) or type(error).__name__
    return None
