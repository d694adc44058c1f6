"""From a claim to an outcome."""

import asyncio
from contextlib import suppress
from dataclasses import dataclass

import structlog
from opentelemetry import trace

from contracts.commands import GenerateReply
from contracts.errors import BackendFailed, Unavailable
from contracts.ports.streams import GenerationStreams, Run, Snapshot
from workers.inference import metrics
from workers.inference.beats import Beats
from workers.inference.claim import Claim, Fenced
from workers.inference.continuing import Earlier, Reason
from workers.inference.control import Control
from workers.inference.ending import EXPIRED, Endings
from workers.inference.generate import Generation
from workers.inference.outcomes import Ending
from workers.inference.patience import patiently, seconds_until
from workers.inference.picturing import Picturing
from workers.inference.probing import Probing
from workers.inference.restoring import stood_before
from workers.inference.settings import InferenceSettings
from workers.inference.slots import Slot, Slots
from workers.inference.writer import Writer

log = structlog.get_logger()
tracer = trace.get_tracer("ollamanet.inference")

LETTING_GO = 1.0
"""Seconds for what is not written yet, and as many for the release, when this process stops: it has 3 in all."""


@dataclass(frozen=True)
class Running:
    """Runs what this process has claimed."""

    streams: GenerationStreams
    slots: Slots
    settings: InferenceSettings
    control: Control
    endings: Endings
    beats: Beats
    probing: Probing
    picturing: Picturing
    worker: str

    async def run(
        self, command: GenerateReply, run: Run, slot: Slot | None, *, clean: bool, reason: Reason | None
    ) -> None:
        """Generate under this claim and end it. Raises Fenced. Cancelled (this process stops): lets go of the generation.

        reason: why what followers may have seen is void, unless it is gone on from; None: they have seen nothing.
        """
        claim = Claim(command.question.generation_id, run.epoch, run.attempt, clean=clean)
        writer = Writer(self.streams, claim, run.next)
        if run.cancel:
            claim.cancel()
        try:
            with tracer.start_as_current_span("generation", attributes={"ollamanet.attempt": run.attempt}):
                async with self.control.holding(claim):
                    found = await self._found(command, claim, run, writer)
                    earlier = None if reason is None else Earlier(reason, found)
                    await self._generate(command, claim, writer, slot, earlier)
        except asyncio.CancelledError:
            await self._hand_over(claim, writer)
            raise
        finally:
            await writer.stop()

    async def _found(self, command: GenerateReply, claim: Claim, run: Run, writer: Writer) -> Snapshot | None:
        """The log as this claim found it; None where nobody has written yet. Raises Fenced when it is not there any more."""
        found = None
        if run.next > 1:
            try:
                (found,) = await patiently(
                    "streams", lambda: self.streams.read([claim.generation_id]), until=command.deadline
                )
            except Unavailable:
                claim.disconnected()  # so history puts the recorded text in the place of what is shown
                return None
            if found is None or found.next < run.next:
                raise Fenced  # lost since the claim: nothing has run yet, so begin with what is there
        writer.before = stood_before(command, self.worker, run, found)
        return found

    async def _generate(
        self, command: GenerateReply, claim: Claim, writer: Writer, slot: Slot | None, earlier: Earlier | None
    ) -> None:
        generation = Generation(
            command,
            claim,
            writer,
            self.slots,
            self.settings,
            self.probing,
            self.picturing,
            slot=slot,
            earlier=earlier,
        )
        self._note(claim, generation)
        began = asyncio.get_running_loop().time()
        ending = await self._ending(command, claim, generation)
        held = asyncio.get_running_loop().time() - began
        await self.endings.end(command, claim, writer, generation.outcome(ending))
        if generation.began:
            self.beats.served(command.question.model, held * 1000)

    async def _ending(self, command: GenerateReply, claim: Claim, generation: Generation) -> Ending:
        """How it ended; past the hard deadline nothing runs."""
        if seconds_until(command.deadline) <= 0 and not claim.cancelled:
            return BackendFailed(*EXPIRED)
        return await generation.run()

    async def _hand_over(self, claim: Claim, writer: Writer) -> None:
        """Somebody else goes on, from all that the back-end said; its time is short, then the lease runs out in 10 s."""
        with suppress(TimeoutError):
            async with asyncio.timeout(LETTING_GO):
                await writer.flush()
        await writer.stop()
        try:
            async with asyncio.timeout(LETTING_GO):
                await self.streams.release(claim.generation_id, claim.epoch)
            log.info("handed_over")
        except (TimeoutError, Unavailable) as error:
            log.warning("not_released", why=str(error))

    def _note(self, claim: Claim, generation: Generation) -> None:
        queue_ms = generation.produced.queue_ms
        if claim.attempt == 1:
            metrics.QUEUE_WAIT.observe(queue_ms / 1000)
        else:
            metrics.TAKEOVERS.inc()
        log.debug("claimed", attempt=claim.attempt, queue_ms=queue_ms)
