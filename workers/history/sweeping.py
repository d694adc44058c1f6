"""The sweep: generations past their hard deadline that nobody brought to their record, whoever died on the way."""

import asyncio
import time
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from types import TracebackType
from typing import Literal, Self

import structlog
from structlog.contextvars import bound_contextvars

from contracts.errors import OllamaNetError, Unavailable
from contracts.events import Outcome, ReplyFailed
from contracts.ports.lines import Due
from contracts.ports.stores import Chats, Leases
from contracts.ports.streams import Answer, Snapshot
from contracts.recording import outcome_of
from contracts.sealing import sealed_unrun
from workers.history import metrics
from workers.history.afterwards import Afterwards

log = structlog.get_logger()

LEASE = "history.sweep"
EVERY = 5.0
"""Seconds between two rounds."""
LEASE_FACTOR = 6
"""The lease outlives a round and a call that waits for a server; it is taken over 30 s after its holder died."""
MOST, ROUND_FOR = 200, 10.0
"""Generations, and seconds, of one round."""
SEALED_FOR = timedelta(seconds=10)
"""Past the deadline: so long a worker that sealed may take to publish."""
CLOSED_FOR = timedelta(seconds=60)
"""Past the deadline: so long history may take to record."""
AGAIN_AFTER, TOLD_AGAIN_AFTER = 10.0, 60.0
"""Seconds until one that could not be ended is looked at again; and one whose outcome was published, which history may have a
backlog before."""

What = Literal["dropped", "sealed", "published", "recorded"]


class Sweeper:
    """Of several history workers the one that holds the lease sweeps. All it does may be repeated, and done by two at once."""

    def __init__(
        self, afterwards: Afterwards, chats: Chats, leases: Leases, holder: str, *, every: float = EVERY
    ) -> None:
        self._afterwards = afterwards
        self._bus, self._streams = afterwards.bus, afterwards.streams
        self._chats = chats
        self._leases = leases
        self._holder = holder
        self._every = every
        self._later: dict[str, float] = {}
        """Generations that this process leaves alone until then, by `time.monotonic`."""
        self._sweeping: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self._sweeping = asyncio.create_task(self._sweep(), name="history sweeping")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._sweeping is not None:
            self._sweeping.cancel()
            await asyncio.gather(self._sweeping, return_exceptions=True)
        with suppress(OllamaNetError):
            await self._leases.release(LEASE, self._holder)

    async def _sweep(self) -> None:
        while True:
            try:
                if await self._leases.acquire(LEASE, self._holder, self._every * LEASE_FACTOR):
                    await self.round(datetime.now(UTC))
            except OllamaNetError as error:
                log.warning("not_swept", why=str(error))
            except Exception as error:
                log.error("sweep_crashed", exc_info=error)
            await asyncio.sleep(self._every)

    async def round(self, now: datetime) -> None:
        """Look at those that are due, the oldest first. Raises Unavailable; any other error is one generation's own."""
        began = time.monotonic()
        self._later = {one: until for one, until in self._later.items() if until > began}
        late = await self._streams.due(now, MOST + len(self._later))
        for due in [one for one in late if one.generation_id not in self._later][:MOST]:
            with bound_contextvars(generation_id=due.generation_id):
                await self._look_at(due, now - due.deadline)
            if time.monotonic() - began > ROUND_FOR:
                return

    async def _look_at(self, due: Due, past: timedelta) -> None:
        done = None
        try:
            done = await self._end(due, past)
        except Unavailable:
            raise
        except Exception as error:
            log.error("generation_not_swept", exc_info=error)
        if done is not None:
            metrics.SWEPT.labels(done).inc()
            log.warning("generation_swept", what=done)
        if done not in ("dropped", "recorded"):
            pause = AGAIN_AFTER if done is None else TOLD_AGAIN_AFTER
            self._later[due.generation_id] = time.monotonic() + pause

    async def _end(self, due: Due, past: timedelta) -> What | None:
        """What was done, so long past its deadline; None: nothing yet."""
        log_now = await self._streams.head(due.generation_id)
        if log_now is None or log_now.state in ("admitted", "aborted"):
            return await self._recorded_or_dropped(due, log_now)
        if log_now.state == "closed":
            return await self._recorded_or_told(due, log_now) if past > CLOSED_FOR else None
        if log_now.leased:
            return None
        if log_now.state == "sealed":
            return await self._publish(log_now.outcome) if past > SEALED_FOR else None
        stands = await sealed_unrun(self._streams, _failed(log_now))
        if isinstance(stands, Answer):
            return None  # it changed while it was looked at
        await self._bus.publish(stands)
        return "sealed"

    async def _recorded_or_dropped(self, due: Due, log_now: Snapshot | None) -> What | None:
        """Never accepted, or its log is lost: only the store knows whether it was answered. Nothing is published for it [m]."""
        if log_now is None and await self._recorded(due, None):
            return "recorded"
        if await self._streams.abort(due.generation_id) is not Answer.OK:
            return None
        await self._streams.drop(due.owner, due.generation_id)
        return "dropped"

    async def _recorded_or_told(self, due: Due, log_now: Snapshot) -> What | None:
        if await self._recorded(due, log_now):
            return "recorded"
        return await self._publish(log_now.outcome)

    async def _recorded(self, due: Due, log_now: Snapshot | None) -> bool:
        """Whether the store has it; then the steps after recording were done again."""
        reply = await self._chats.reply(due.owner, due.generation_id)
        if reply is None:
            return False
        await self._afterwards.recorded(outcome_of(reply, log_now.question if log_now else None), reply)
        return True

    async def _publish(self, outcome: Outcome | None) -> What | None:
        if outcome is None:
            return None
        await self._bus.publish(outcome)
        return "published"


def _failed(log_now: Snapshot) -> ReplyFailed:
    """Nobody took it in time, or whoever did is gone."""
    code, message = (
        ("generation_timeout", "The answer was not finished in time.")
        if log_now.attempt
        else ("expired", "The question waited too long for a free model.")
    )
    return ReplyFailed(
        question=log_now.question, code=code, message=message, retryable=True, ended_at=datetime.now(UTC)
    )
