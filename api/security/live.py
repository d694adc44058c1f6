"""Which sessions still live: asked of the store, believed for a second; and the streams that end with them, or with API keys."""

import asyncio
import time
from collections.abc import Generator
from contextlib import contextmanager
from types import TracebackType
from typing import Protocol, Self

import structlog

from contracts.errors import OllamaNetError
from contracts.ports.stores import Sessions

log = structlog.get_logger()

BELIEVED = 1.0
"""Seconds after which a session that ended is noticed."""
LAST_WORDS = 0.5
"""Seconds that a stream gets which opens while its edge stops: the client learns which generation it is to resume elsewhere."""
KEPT = 20_000
"""Sessions remembered at most."""


class Living(Protocol):
    """Knows of credentials of one kind whether they live. Ids are UUIDs: those of another kind are unknown to it, as if ended."""

    async def ended(self, ids: set[str], /) -> set[str]: ...


class LiveSessions(Living):
    """Answers for every request whether its session was ended."""

    def __init__(self, sessions: Sessions) -> None:
        self._sessions = sessions
        self._seen: dict[str, float] = {}

    async def living(self, session_id: str) -> bool:
        """Whether it had neither ended nor expired a second ago. Raises Unavailable."""
        now = time.monotonic()
        if now - self._seen.get(session_id, -BELIEVED) < BELIEVED:
            return True
        if session_id not in await self._sessions.living([session_id]):
            self._seen.pop(session_id, None)
            return False
        if len(self._seen) >= KEPT:
            self._seen = {one: at for one, at in self._seen.items() if now - at < BELIEVED}
        self._seen[session_id] = now
        return True

    async def ended(self, session_ids: set[str]) -> set[str]:
        """Those of them that do not live any more; also forgotten here."""
        gone = session_ids - await self._sessions.living(sorted(session_ids))
        for one in gone:
            self._seen.pop(one, None)
        return gone


class OpenStream:
    """One client's open stream. `ended`: this edge ends it. `resumes`: the client may come back for the rest."""

    def __init__(self, credential_id: str, *, resumes: bool = True) -> None:
        self.credential_id = credential_id
        self.resumes = resumes
        self.ended = False
        self._task: asyncio.Task[object] | None = None

    def began(self) -> None:
        """Called in the task that writes it."""
        self._task = asyncio.current_task()

    def left(self) -> None:
        """Its task does other things now."""
        self._task = None

    def end(self) -> None:
        """Interrupt whatever it waits for; once, so that its last words are not interrupted too."""
        if not self.ended and self._task is not None:
            self._task.cancel()
        self.ended = True


class OpenStreams:
    """All of this edge. Inside the context those whose credential (a session, an API key) ended are ended within a second.

    Seconds: `alive_every` between the comments that keep a silent line open; `unread_for` that a client may leave one write
    unread before it is cut off (it can resume).
    """

    def __init__(self, *living: Living, alive_every: float = 15.0, unread_for: float = 60.0) -> None:
        self.alive_every = alive_every
        self.unread_for = unread_for
        self._living = living
        self._ending = False
        self._open: set[OpenStream] = set()
        self._watching: asyncio.Task[None] | None = None

    def __len__(self) -> int:
        return len(self._open)

    @property
    def ending(self) -> bool:
        """Whether this edge stops."""
        return self._ending

    async def __aenter__(self) -> Self:
        self._watching = asyncio.create_task(self._watch(), name="credentials of open streams")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.end_all()
        if self._watching is not None:
            self._watching.cancel()
            await asyncio.gather(self._watching, return_exceptions=True)

    @contextmanager
    def opened(self, credential_id: str, *, resumes: bool = True) -> Generator[OpenStream, None, None]:
        """Count a stream while inside. One that nobody can resume gets longer when this edge stops."""
        stream = OpenStream(credential_id, resumes=resumes)
        self._open.add(stream)
        if self._ending and resumes:
            asyncio.get_running_loop().call_later(LAST_WORDS, stream.end)
        try:
            yield stream
        finally:
            self._open.discard(stream)
            stream.left()

    def end_all(self, patience: float = 0.0) -> None:
        """This edge stops: every client is sent elsewhere, also those that still come.

        Those that could not resume elsewhere may go on for `patience` seconds, and most of them end by themselves.
        """
        self._ending = True
        for stream in list(self._open):
            if stream.resumes or patience <= 0:
                stream.end()
            else:
                asyncio.get_running_loop().call_later(patience, stream.end)

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(BELIEVED)
            try:
                await self._end_the_ended()
            except OllamaNetError as error:
                log.warning("credentials_not_checked", why=str(error))
            except Exception as error:
                log.error("credentials_not_checked", exc_info=error)

    async def _end_the_ended(self) -> None:
        if not self._open:
            return
        gone = {one.credential_id for one in self._open}
        for kind in self._living:
            gone = await kind.ended(gone) if gone else gone
        for stream in [one for one in self._open if one.credential_id in gone]:
            stream.end()
