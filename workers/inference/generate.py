"""The loop: run the model for one claim and write what it says, until it ends, fails, is cancelled or runs out of time."""

import asyncio
import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import replace
from datetime import datetime

import structlog
from opentelemetry import trace

from contracts.commands import GenerateReply
from contracts.errors import BackendFailed, UnknownModel
from contracts.events import Outcome
from contracts.generation import MAX_TEXT_BYTES, Restarted, Started, ToolCall, Usage
from contracts.ports.backend import CallTool, ChatRequest, Done, Piece, Text, ThinkingText
from workers.inference import metrics
from workers.inference.affinity import Wish
from workers.inference.claim import Claim, Fenced
from workers.inference.continuing import Earlier, Reason, Straddling, resumable
from workers.inference.outcomes import Ending, Produced, size_of, size_of_call
from workers.inference.patience import seconds_until
from workers.inference.picturing import Picturing
from workers.inference.probing import Probing
from workers.inference.settings import InferenceSettings
from workers.inference.slots import Slot, Slots
from workers.inference.tries import Tries
from workers.inference.writer import TextKind, Writer

log = structlog.get_logger()
tracer = trace.get_tracer("ollamanet.inference")


class Generation:
    """One run under one claim. `earlier`: what followers may have seen of earlier attempts, from which it goes on, or begins again."""

    def __init__(
        self,
        command: GenerateReply,
        claim: Claim,
        writer: Writer,
        slots: Slots,
        settings: InferenceSettings,
        probing: Probing,
        picturing: Picturing,
        *,
        slot: Slot | None,
        earlier: Earlier | None = None,
    ) -> None:
        self._command = command
        self._claim = claim
        self._writer = writer
        self._slots = slots
        self._settings = settings
        self._probing = probing
        self._picturing = picturing
        self._slot = slot
        self._patience = None if slot else 0.0  # without one it has been waited for already
        self._claimed_at = time.monotonic()
        self._void: Reason | None = earlier.reason if earlier else None
        self._refused = False
        self._straddling = Straddling("", ())
        self._came = False
        self._tries = Tries()
        self.produced = Produced(command.question, claim.attempt)
        if earlier is not None and earlier.shown is not None:
            self.produced.take_over(earlier.shown)
        self.began = False
        """Whether anything was written under this claim."""

    @property
    def deadline(self) -> datetime:
        """The hard one."""
        return self._command.deadline

    async def run(self) -> Ending:
        """How it ended. Raises Fenced. The back-end's connection is closed and the slot free when it returns."""
        reading = asyncio.create_task(self._read())
        stopped = asyncio.create_task(self._claim.stopped())
        limit = min(self._settings.generation_timeout, seconds_until(self._command.deadline))
        try:
            if not self._claim.cancelled:
                await asyncio.wait({reading, stopped}, timeout=limit, return_when=asyncio.FIRST_COMPLETED)
        finally:
            reading.cancel()
            stopped.cancel()
            await asyncio.gather(reading, stopped, return_exceptions=True)
            self._leave()
        if self._claim.fenced:
            raise Fenced
        return None if self._claim.cancelled else _ending(reading, limit)

    def outcome(self, ending: Ending) -> Outcome:
        """The outcome of that ending."""
        return self.produced.outcome(ending)

    def _leave(self) -> None:
        if self._slot is not None:
            self._slot.free()
            self._slot = None

    async def _read(self) -> Done:
        failed: list[str] = []
        while True:
            slot = await self._taken(failed)
            goes_on = await self._goes_on(slot)
            self._begin(slot, goes_on=goes_on)
            try:
                with metrics.RUNNING.track_inprogress():
                    done = await self._chat(slot, goes_on=goes_on)
            except BackendFailed as error:
                slot.failed(error)
                self._note(error, slot.name)
                if goes_on and not self._came and not error.retryable:
                    self._refused = True
                    continue
                if not self._tries.another(error, shown=self._came):
                    raise
            else:
                slot.ended()
                if self._came:  # so the model is loaded
                    self._probing.used(slot.backend, self._command.question.model)
                return done
            if self._came:
                self._void = "backend_lost"
            failed.append(slot.name)
            self._leave()
            if not self._slots.elsewhere(self._wish(failed)):  # another one may be asked at once
                await asyncio.sleep(self._tries.pause)

    def _wish(self, failed: Sequence[str]) -> Wish:
        return Wish(self._command.question.model, failed, self._command.prefers)

    async def _taken(self, failed: Sequence[str]) -> Slot:
        """The slot that is held, else the next one."""
        if self._slot is None:
            wish, lane = self._wish(failed), self._command.lane
            self._slot = await self._slots.take(wish, lane=lane, since=self._claimed_at, patience=self._patience)
        self._patience = None
        return self._slot

    async def _goes_on(self, slot: Slot) -> bool:
        """Whether that back-end can be given what was shown, to go on from there."""
        if self._void is None or self._refused or not resumable(self._command, self.produced):
            return False
        return await self._probing.continues(slot.backend, self._command.question.model, self.produced.backend)

    def _begin(self, slot: Slot, *, goes_on: bool) -> None:
        """`restarted`, where something was shown that does not stand, and `started`, in one append."""
        attempt = max(1, self._claim.attempt)
        again = self._void is not None and not goes_on
        if goes_on:
            self.produced.carry()
            self._straddling = Straddling("".join(self.produced.text), self._command.options.stop)
            metrics.CONTINUED.labels("continued").inc()
            log.info("continued", backend=slot.name, why=self._void, tokens=self.produced.carried)
        elif again:
            self._writer.add(Restarted.model_validate({"attempt": attempt, "reason": self._void}))
            metrics.CONTINUED.labels("restarted").inc()
            self.produced.void()
            self._straddling, self._void = Straddling("", ()), None
        if again or not self.began or self.produced.backend != slot.name:
            self._writer.add(Started(attempt=attempt, model=self._command.question.model, backend=slot.name))
            self.produced.backend = slot.name
        self._came, self.began = False, True

    def _note(self, error: BackendFailed, backend: str) -> None:
        metrics.BACKEND_ERRORS.labels(backend, error.code).inc()
        log.warning("backend_failed", backend=backend, code=error.code, why=str(error), tries=self._tries.made)

    async def _chat(self, slot: Slot, *, goes_on: bool) -> Done:
        request = self._request(goes_on=goes_on)
        if request is None:
            return Done("length", Usage())
        request = replace(request, images=await self._picturing.of(self._command))
        asked_at, before = time.monotonic(), self.produced.tokens
        attributes = {"ollamanet.backend": slot.name, "gen_ai.request.model": self._command.question.model}
        with tracer.start_as_current_span("backend chat", kind=trace.SpanKind.CLIENT, attributes=attributes) as span:
            try:
                async with aclosing(slot.backend.chat(request)) as pieces:
                    return await self._take_all(pieces, slot, asked_at)
            finally:
                metrics.TOKENS.labels(slot.name).inc(self.produced.tokens - before)
                span.set_attribute("gen_ai.usage.output_tokens", self.produced.tokens - before)

    async def _take_all(self, pieces: AsyncGenerator[Piece, None], slot: Slot, asked_at: float) -> Done:
        async for piece in pieces:
            if isinstance(piece, Done):
                return piece if self._take(*self._straddling.rest()) else self._cut_off("length")
            if not self._came:
                self._came = True
                slot.answered(time.monotonic() - asked_at)
                metrics.FIRST_TOKEN.labels(slot.name).observe(time.monotonic() - asked_at)
                trace.get_current_span().add_event("first token")
            if not self._take(*(self._straddling.take(piece) if isinstance(piece, Text) else (piece,))):
                return self._cut_off("length")
            if self._straddling.stopped:
                return self._cut_off("stop")
        raise BackendFailed("backend_cut", "The model's server stopped before the reply was whole.")

    def _cut_off(self, reason: str) -> Done:
        """The end that we make: the back-end did not get to count."""
        return Done(reason, Usage(output_tokens=self.produced.tokens - self.produced.carried))

    def _request(self, *, goes_on: bool) -> ChatRequest | None:
        """What the model is asked; None where it has said as much as it may."""
        command, options = self._command, self._command.options
        if goes_on and options.max_tokens is not None:
            room = options.max_tokens - self.produced.carried
            if room <= 0:
                return None
            options = options.model_copy(update={"max_tokens": room})
        return ChatRequest(
            model=command.question.model,
            context=command.context,
            options=options,
            think=command.think,
            format=command.format,
            tools=command.tools,
            effort=command.effort,
            tool_choice=command.tool_choice,
            parallel_tool_calls=command.parallel_tool_calls,
            keep_alive=command.keep_alive,
            said="".join(self.produced.text) if goes_on else "",
            first_token_timeout=self._settings.first_token_timeout,
            token_timeout=self._settings.token_timeout,
        )

    def _take(self, *pieces: Text | ThinkingText | CallTool) -> bool:
        """Write pieces; False when one would not fit any more."""
        return all(self._add_call(one) if isinstance(one, CallTool) else self._add_text(one) for one in pieces)

    def _add_call(self, piece: CallTool) -> bool:
        if not self._fits(size_of_call(piece.call)):
            return False
        self.produced.begun()
        self.produced.tool_calls.append(piece.call)
        self._writer.add(ToolCall.model_validate(piece.call.model_dump()))
        return True

    def _add_text(self, piece: Text | ThinkingText) -> bool:
        if not piece.text:
            return True
        kind: TextKind = "token" if isinstance(piece, Text) else "thinking"
        if not self._fits(size_of(kind, piece.text)):
            return False
        self.produced.begun()
        self.produced.tokens += piece.tokens
        (self.produced.text if kind == "token" else self.produced.thinking).append(piece.text)
        self._writer.add_text(kind, piece.text, piece.tokens)
        return True

    def _fits(self, size: int) -> bool:
        self.produced.size += size
        return self.produced.size <= MAX_TEXT_BYTES


def _ending(reading: asyncio.Task[Done], limit: float) -> Ending:
    if reading.cancelled():
        return BackendFailed("generation_timeout", f"The reply was not whole after {limit:.0f} seconds.")
    match reading.exception():
        case None:
            return reading.result()
        case BackendFailed() as error:
            return error
        case UnknownModel() as error:
            return BackendFailed("unknown_model", str(error), retryable=False)
        case error:
            log.error("generation_crashed", exc_info=error)
            return BackendFailed("internal", "Something went wrong while generating this reply.")
