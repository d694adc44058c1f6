"""From a delivery to a claim, from a claim to an outcome; again from the claim when another epoch fenced the run."""

import asyncio
from dataclasses import dataclass
from datetime import timedelta
from typing import Literal

import structlog
from opentelemetry import trace

from contracts.commands import GenerateReply
from contracts.errors import Transient, Unavailable, UnknownModel
from contracts.events import Outcome
from contracts.ports.streams import Answer, GenerationStreams, Held, Run, Sealed
from workers.inference import metrics
from workers.inference.claim import Claim, Fenced
from workers.inference.control import Control
from workers.inference.ending import Endings
from workers.inference.generate import Generation
from workers.inference.outcomes import Ending
from workers.inference.patience import patiently, seconds_until
from workers.inference.settings import InferenceSettings
from workers.inference.slots import Slot, Slots
from workers.inference.tasks import Tasks
from workers.inference.writer import Writer

log = structlog.get_logger()
tracer = trace.get_tracer("ollamanet.inference")

ASK_AGAIN = 0.25
"""Seconds between claims while another worker holds the generation."""
OVERTIME = timedelta(seconds=60)
"""Past the hard deadline, after which nobody can still hold a generation: a lease lasts 10 s."""
LETTING_GO = 2.0
"""Seconds for the release when this process stops."""

_UNRUN = {
    Answer.EXPIRED: ("expired", "The question waited too long for a free model."),
    Answer.QUARANTINE: ("quarantined", "This question ended several workers and is not run again."),
}


@dataclass(frozen=True)
class Running:
    """Runs one generation to its end."""

    streams: GenerationStreams
    slots: Slots
    settings: InferenceSettings
    control: Control
    endings: Endings
    tasks: Tasks
    worker: str

    async def until_it_ends(self, command: GenerateReply, *, redelivered: bool) -> None:
        """Returns when the delivery may be acked, or when it is not in this process' hands any more."""
        generation_id, created = command.question.generation_id, False
        while True:
            slot = await self._slot(command)
            try:
                answer = await self._claim(command) if self.tasks.delivered(generation_id) else None
                if isinstance(answer, Run):
                    clean = answer.attempt == 1 and not redelivered and not created
                    restart = _restart(answer, log_lost=created and redelivered)
                    return await self._run(command, answer, slot, clean=clean, restart=restart)
            except Fenced:
                metrics.FENCED.inc()
                log.warning("fenced")
                redelivered = True
                continue
            finally:
                if slot is not None:
                    slot.free()
            if isinstance(answer, Held) and seconds_until(command.deadline + OVERTIME) > 0:
                await asyncio.sleep(min(answer.ms / 1000, ASK_AGAIN))
            elif answer is Answer.NOLOG:
                created = await self._create(command)
            else:
                return await self._without_running(command, answer)

    async def _slot(self, command: GenerateReply) -> Slot | None:
        """A free slot; None when none came before the question expires, or no back-end serves its model."""
        try:
            async with asyncio.timeout(seconds_until(command.starts_before)):
                return await self.slots.take(command.question.model)
        except (TimeoutError, UnknownModel):
            return None

    async def _claim(self, command: GenerateReply) -> Run | Held | Sealed | Answer:
        """Unavailable after the hard deadline counts as expired."""
        generation_id = command.question.generation_id
        try:
            async with asyncio.timeout(seconds_until(command.deadline)):
                await self.control.subscribed()
            return await patiently(
                "streams", lambda: self.streams.claim(generation_id, self.worker), until=command.deadline
            )
        except (TimeoutError, Unavailable):
            return Answer.EXPIRED

    async def _create(self, command: GenerateReply) -> Literal[True]:
        """The log is gone, or this process is the first after a restart: begin it again from the command."""
        log.warning("log_created_again")
        await patiently(
            "streams",
            lambda: self.streams.create(
                command.question, starts_before=command.starts_before, deadline=command.deadline
            ),
            until=command.deadline,
        )
        return True

    async def _without_running(self, command: GenerateReply, answer: Held | Sealed | Answer | None) -> None:
        match answer:
            case None:
                log.info("delivery_gone")
            case Sealed():
                await self.endings.publish(answer.outcome)
                await self.endings.settle(command)
            case Answer.EXPIRED | Answer.QUARANTINE:
                await self.endings.end_unrun(command, *_UNRUN[answer])
            case Answer.CLOSED | Answer.ABORTED:
                await self.endings.settle(command)
            case _:
                raise Transient(f"The generation cannot be claimed: {answer}.")

    async def _run(
        self, command: GenerateReply, run: Run, slot: Slot | None, *, clean: bool, restart: str | None
    ) -> None:
        """Generate under this claim and end it. Raises Fenced. Cancelled (this process stops): lets go of the generation."""
        claim = Claim(command.question.generation_id, run.epoch, run.attempt, clean=clean)
        writer = Writer(self.streams, claim, run.next)
        generation = Generation(command, claim, writer, self.slots, self.settings, slot=slot, restart=restart)
        self._note(command, run, generation)
        try:
            with tracer.start_as_current_span("generation", attributes={"ollamanet.attempt": run.attempt}):
                async with self.control.holding(claim):
                    if run.cancel:
                        claim.cancel()
                    outcome = await self._outcome(generation, claim, run, await generation.run())
                    await self.endings.end(command, claim, writer, outcome)
        except asyncio.CancelledError:
            await self._hand_over(claim, writer)
            raise
        finally:
            await writer.stop()

    async def _outcome(self, generation: Generation, claim: Claim, run: Run, ending: Ending) -> Outcome:
        """Of a run that never wrote anything, with the text that an earlier attempt has shown."""
        if run.shown and not generation.began:
            try:
                (shown,) = await patiently(
                    "streams", lambda: self.streams.read([claim.generation_id]), until=generation.deadline
                )
                if shown is not None:
                    generation.produced.take_over(shown)
            except Unavailable:
                claim.disconnected()  # so history puts the recorded text in the place of what is shown
        return generation.outcome(ending)

    async def _hand_over(self, claim: Claim, writer: Writer) -> None:
        await writer.stop()
        try:
            async with asyncio.timeout(LETTING_GO):
                await self.streams.release(claim.generation_id, claim.epoch)
            log.info("handed_over")
        except (TimeoutError, Unavailable) as error:
            log.warning("not_released", why=str(error))  # its lease runs out in 10 s

    def _note(self, command: GenerateReply, run: Run, generation: Generation) -> None:
        if run.attempt == 1:
            metrics.QUEUE_WAIT.observe(generation.produced.queue_ms / 1000)
        else:
            metrics.TAKEOVERS.inc()
        log.debug("claimed", attempt=run.attempt, model=command.question.model, queue_ms=generation.produced.queue_ms)


def _restart(run: Run, *, log_lost: bool) -> str | None:
    """Why what followers may have seen is void; None when they have seen nothing."""
    if run.shown:
        return "worker_lost"
    return "log_lost" if log_lost else None
