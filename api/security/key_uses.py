"""When API keys were used last: noted beside the requests, written in the background, at most once a minute for each key."""

import asyncio
from datetime import datetime, timedelta
from types import TracebackType
from typing import Self

import structlog

from contracts.errors import OllamaNetError
from contracts.ports.stores import ApiKeys
from contracts.records import ApiKey

log = structlog.get_logger()

ONCE_IN = timedelta(minutes=1)
WRITTEN_EVERY = 1.0
"""Seconds between writes, each of everything that was noted since the one before."""
KEPT = 20_000
"""Keys remembered at most; of further ones a use or two is not noted."""


class KeyUses:
    """Writes while inside; what is left is written on the way out."""

    def __init__(self, keys: ApiKeys) -> None:
        self._keys = keys
        self._noted: dict[str, datetime] = {}
        self._waiting: dict[str, datetime] = {}
        self._writing: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self._writing = asyncio.create_task(self._write_on(), name="uses of API keys")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._writing is not None:
            self._writing.cancel()
            await asyncio.gather(self._writing, return_exceptions=True)
        await self._write()

    def used(self, key: ApiKey, at: datetime) -> None:
        """Note it, unless a use of the last minute is known."""
        last = self._noted.get(key.id) or key.last_used_at
        if last is not None and at - last < ONCE_IN:
            return
        if len(self._noted) >= KEPT:
            self._noted = {one: noted for one, noted in self._noted.items() if at - noted < ONCE_IN}
        if len(self._noted) < KEPT:
            self._noted[key.id] = self._waiting[key.id] = at

    async def _write_on(self) -> None:
        while True:
            await asyncio.sleep(WRITTEN_EVERY)
            await self._write()

    async def _write(self) -> None:
        """What cannot be written is forgotten: the next use is noted again."""
        uses, self._waiting = self._waiting, {}
        if not uses:
            return
        try:
            await self._keys.note_uses(uses)
        except OllamaNetError as error:
            log.warning("key_uses_not_written", why=str(error))
        except Exception as error:
            log.error("key_uses_not_written", exc_info=error)
        else:
            return
        for key_id in uses:
            self._noted.pop(key_id, None)
