"""One subscription of the SQLite bus: takes messages, runs their handler, tells the bus the verdict."""

import asyncio
from dataclasses import dataclass
from typing import Protocol

import structlog

from contracts.envelope import Envelope
from contracts.errors import ContractViolated, Unavailable
from contracts.handling import InFlight, handle_dead, handle_message
from contracts.ports.bus import DeadMessage, DeadSubscription, Subscription
from contracts.verdicts import Held, Judged, Verdict, judged

log = structlog.get_logger()
ASK_AGAIN = 1.0
"""Seconds until a data file that did not answer is asked again."""


@dataclass(frozen=True)
class Taken:
    """A message that a consumer holds. `place` 0: of an exclusive queue, kept nowhere; `envelope` None: it cannot be read.
    `dead`: what it is in the queue of dead letters."""

    place: int
    envelope: Envelope | None
    body: bytes
    redelivered: bool
    dead: DeadMessage | None = None

    def about(self) -> dict[str, object]:
        """What a log line says of it."""
        named = self.envelope
        return {"place": self.place, **({"type": named.type, "subject": named.subject} if named else {})}


class Source(Protocol):
    """Where messages are taken from."""

    async def take(self, queue: str) -> Taken: ...
    async def done(self, taken: Taken) -> None: ...
    async def give_back(self, queue: str, taken: Taken) -> None: ...
    async def bury(self, queue: str, taken: Taken, why: str) -> None: ...


class Consumer:
    """Handles at most `concurrency` messages of one queue at once."""

    def __init__(self, subscription: Subscription | DeadSubscription, source: Source) -> None:
        self.queue = subscription.queue.name
        self._subscription = subscription
        self._source = source
        self._in_flight = InFlight(self.queue, subscription.concurrency)

    async def run(self) -> None:
        """Take and handle until cancelled."""
        while True:
            await self._in_flight.room()
            try:
                taken = await self._take()
            except BaseException:
                self._in_flight.leave()
                raise
            self._in_flight.begin(self._settle(taken))

    async def drain(self, seconds: float) -> None:
        """Wait for what is in flight, then cancel it, which gives it back."""
        await self._in_flight.drain(seconds)

    async def _take(self) -> Taken:
        while True:
            try:
                return await self._source.take(self.queue)
            except Unavailable as error:
                log.warning("bus_unavailable", queue=self.queue, why=str(error))
                await asyncio.sleep(ASK_AGAIN)

    async def _settle(self, taken: Taken) -> None:
        held = Held(taken.redelivered, lambda: {"queue": self.queue, **taken.about()})
        verdict = await judged(self._subscription, held, lambda again: self._once(taken, again))
        while True:
            try:
                return await self._tell(taken, verdict)
            except Unavailable as error:
                log.warning("verdict_waits", queue=self.queue, **taken.about(), why=str(error))
                await asyncio.sleep(ASK_AGAIN)

    async def _tell(self, taken: Taken, judged: Judged) -> None:
        match judged.verdict:
            case Verdict.DONE:
                await self._source.done(taken)
            case Verdict.BURY:
                await self._source.bury(self.queue, taken, judged.why or "")
            case Verdict.GIVE_BACK | Verdict.LOST:
                await self._source.give_back(self.queue, taken)

    async def _once(self, taken: Taken, redelivered: bool) -> None:
        if isinstance(self._subscription, DeadSubscription):
            if taken.dead is not None:
                await handle_dead(self._subscription, taken.dead)
        elif taken.envelope is None:
            raise ContractViolated("A message came without valid CloudEvents attributes.")
        else:
            await handle_message(self._subscription, taken.envelope, taken.body, redelivered)
