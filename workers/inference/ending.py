"""How a generation ends: seal the outcome, publish it, close the log, free the person's slot; in that order."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta

import structlog

from contracts.commands import GenerateReply
from contracts.errors import Unavailable
from contracts.events import Outcome, ReplyFailed
from contracts.ports.bus import Bus
from contracts.ports.streams import Answer, Closed, Gap, GenerationStreams, Sealed
from contracts.sealing import cancelled_instead, sealed_unrun
from workers.inference import metrics
from workers.inference.claim import Claim, Fenced
from workers.inference.outcomes import failed
from workers.inference.patience import patiently, seconds_until
from workers.inference.writer import Writer

log = structlog.get_logger()

LEAST = timedelta(seconds=10)
"""For sealing, when the hard deadline itself ended the run."""
EXPIRED = "expired", "The question waited too long for a free model."
QUARANTINED = "quarantined", "This question ended several workers and is not run again."


class Endings:
    """Ends generations over a bus and streams."""

    def __init__(self, bus: Bus, streams: GenerationStreams) -> None:
        self._bus = bus
        self._streams = streams

    async def end(self, command: GenerateReply, claim: Claim, writer: Writer, outcome: Outcome) -> None:
        """End a run of this process. Raises Fenced when somebody else holds the generation."""
        stands = await self._seal_in_time(command, claim, writer, outcome)
        if stands is not None:
            await self.publish(stands)
        if claim.clean:
            await self._close(claim)
        await self.settle(command)

    async def end_unrun(self, command: GenerateReply, code: str, message: str, *, retryable: bool) -> None:
        """End a generation that nobody is to run: sealed by somebody who is not its worker."""
        outcome = failed(command.question, code, message, retryable=retryable)
        try:
            stands = await self._seal_unrun(command, outcome)
        except Unavailable as error:
            log.warning("outcome_not_sealed", why=str(error))
            stands = outcome
        if stands is not None:
            await self.publish(stands)
        await self.settle(command)

    async def publish(self, outcome: Outcome) -> None:
        """Put the outcome on the bus, however long that takes; harmless when it is there already."""
        await patiently("bus", lambda: self._bus.publish(outcome))
        code = outcome.code if isinstance(outcome, ReplyFailed) else ""
        metrics.OUTCOMES.labels(outcome.kind, code).inc()
        log.info(
            f"reply_{outcome.kind}",
            code=code or None,
            model=outcome.question.model,
            backend=outcome.backend,
            attempt=outcome.attempt,
            tokens=outcome.usage.output_tokens,
            queue_ms=outcome.timings.queue_ms,
            ttft_ms=outcome.timings.ttft_ms,
            total_ms=outcome.timings.total_ms,
        )

    async def settle(self, command: GenerateReply) -> None:
        """Free the person's slot; history does it again."""
        try:
            await self._streams.settle(command.question.owner, command.question.generation_id)
        except Unavailable as error:
            log.warning("not_settled", why=str(error))

    async def _seal_in_time(
        self, command: GenerateReply, claim: Claim, writer: Writer, outcome: Outcome
    ) -> Outcome | None:
        """The outcome that stands; None: somebody ended it and there is nothing to publish. Unsealed after the deadline."""
        until = max(command.deadline, datetime.now(UTC) + LEAST)
        try:
            async with asyncio.timeout(seconds_until(until)):
                return await self._seal(claim, writer, outcome, until)
        except (TimeoutError, Unavailable) as error:
            log.warning("outcome_not_sealed", why=str(error))
            claim.lose_log()
            return outcome

    async def _seal(self, claim: Claim, writer: Writer, outcome: Outcome, until: datetime) -> Outcome | None:
        while True:
            await writer.flush()
            if claim.fenced:
                raise Fenced
            if claim.log_lost:
                return outcome
            if claim.cancelled and outcome.kind != "cancelled":
                outcome = cancelled_instead(outcome)
            last = outcome.model_copy(update={"last_event_id": f"{claim.epoch}-{writer.next}"})
            match await self._ask_to_seal(claim, writer.next, last, until):
                case Answer.OK:
                    return last
                case Sealed(stands):
                    claim.clean = False
                    return stands
                case Answer.CLOSED | Answer.ABORTED:
                    claim.clean = False
                    return None
                case answer:
                    _learn(answer, claim, writer)

    async def _ask_to_seal(
        self, claim: Claim, expected: int, outcome: Outcome, until: datetime
    ) -> Gap | Sealed | Answer:
        return await self._noting(
            claim,
            lambda: self._streams.seal(claim.generation_id, claim.epoch, expected, outcome),
            until,
        )

    async def _noting(
        self, claim: Claim, call: Callable[[], Awaitable[Gap | Sealed | Answer]], until: datetime
    ) -> Gap | Sealed | Answer:
        """`call()`, and a claim that is no longer clean if it had to be repeated."""
        try:
            return await call()
        except Unavailable:
            claim.disconnected()
            return await patiently("streams", call, until)

    async def _seal_unrun(self, command: GenerateReply, outcome: ReplyFailed) -> Outcome | None:
        stands = await patiently("streams", lambda: sealed_unrun(self._streams, outcome), command.deadline)
        match stands:
            case Answer.NOLOG:
                return outcome
            case Answer.CLOSED | Answer.ABORTED:
                return None
            case _:
                return stands

    async def _close(self, claim: Claim) -> None:
        """Show the end. Where that cannot be done history does it, once the outcome is recorded."""
        try:
            answer = await self._streams.close(claim.generation_id, claim.epoch)
        except Unavailable as error:
            log.warning("not_closed", why=str(error))
            return
        if not isinstance(answer, Closed):
            log.warning("not_closed", why=str(answer))


def _learn(answer: Gap | Answer, claim: Claim, writer: Writer) -> None:
    """What is to happen before sealing is tried again."""
    match answer:
        case Gap():
            writer.rewind(answer.next)
        case Answer.CANCELLED:
            claim.cancel()
        case Answer.NOLOG:
            claim.miss_log()
        case _:
            claim.fence()
