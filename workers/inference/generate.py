"""The loop: run the model for one claim and write what it says, until it ends, fails, is cancelled or runs out of time."""

import asyncio
import time
from collections.abc import AsyncGenerator
from contextlib import aclosing
from datetime import datetime

import structlog
from opentelemetry import trace

from contracts.commands import GenerateReply
from contracts.errors import BackendFailed, UnknownModel
from contracts.events import Outcome
from contracts.generation import MAX_TEXT_BYTES, Restarted, Started, ToolCall, Usage, encode, encode_text
from contracts.ports.backend import CallTool, ChatRequest, Done, Piece, Text, ThinkingText
from workers.inference import metrics
from workers.inference.claim import Claim, Fenced
from workers.inference.outcomes import Ending, Produced
from workers.inference.patience import seconds_until
from workers.inference.settings import InferenceSettings
from workers.inference.slots import Slot, Slots
from workers.inference.tries import Tries
from workers.inference.writer import TextKind, Writer

log = structlog.get_logger()
tracer = trace.get_tracer("ollamanet.inference")

FRAME_BYTES = len(encode_text("token", ""))
"""What the encoding of an event adds to its text: the log counts text as it is encoded."""


class Generation:
    """One run under one claim. `restart`: why what followers may have seen is void, if it is."""

    def __init__(
        self,
        command: GenerateReply,
        claim: Claim,
        writer: Writer,
        slots: Slots,
        settings: InferenceSettings,
        *,
        slot: Slot | None,
        restart: str | None,
    ) -> None:
        self._command = command
        self._claim = claim
        self._writer = writer
        self._slots = slots
        self._settings = settings
        self._slot = slot
        self._restart = restart
        self._tries = Tries()
        self.produced = Produced(command.question, claim.attempt)
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
        failed_at: str | None = None
        while True:
            if self._slot is None:
                self._slot = await self._slots.take(self._command.question.model, rather_not=failed_at)
            failed_at = self._slot.name
            self._begin(self._slot)
            try:
                with metrics.RUNNING.track_inprogress():
                    return await self._chat(self._slot)
            except BackendFailed as error:
                self._note(error, failed_at)
                if not self._tries.another(error, shown=not self.produced.empty):
                    raise
            if not self.produced.empty:
                self._restart = "backend_lost"
            self._leave()
            await asyncio.sleep(self._tries.pause)

    def _begin(self, slot: Slot) -> None:
        """`restarted`, where something was shown, and `started`, in one append."""
        if self._restart is not None:
            self._writer.add(
                Restarted.model_validate({"attempt": max(1, self._claim.attempt), "reason": self._restart})
            )
            self.produced.void()
        if self._restart is not None or self.produced.backend != slot.name:
            self.produced.backend = slot.name
            model = self._command.question.model
            self._writer.add(Started(attempt=max(1, self._claim.attempt), model=model, backend=slot.name))
        self._restart, self.began = None, True

    def _note(self, error: BackendFailed, backend: str) -> None:
        metrics.BACKEND_ERRORS.labels(backend, error.code).inc()
        log.warning("backend_failed", backend=backend, code=error.code, why=str(error), tries=self._tries.made)

    async def _chat(self, slot: Slot) -> Done:
        asked_at = time.monotonic()
        attributes = {"ollamanet.backend": slot.name, "gen_ai.request.model": self._command.question.model}
        with tracer.start_as_current_span("backend chat", kind=trace.SpanKind.CLIENT, attributes=attributes) as span:
            try:
                async with aclosing(slot.backend.chat(self._request())) as pieces:
                    return await self._take_all(pieces, slot, asked_at)
            finally:
                metrics.TOKENS.labels(slot.name).inc(self.produced.tokens)
                span.set_attribute("gen_ai.usage.output_tokens", self.produced.tokens)

    async def _take_all(self, pieces: AsyncGenerator[Piece, None], slot: Slot, asked_at: float) -> Done:
        async for piece in pieces:
            if isinstance(piece, Done):
                return piece
            first = self.produced.empty
            if not self._take(piece):
                return Done("length", Usage(output_tokens=self.produced.tokens))
            if first and not self.produced.empty:
                metrics.FIRST_TOKEN.labels(slot.name).observe(time.monotonic() - asked_at)
                trace.get_current_span().add_event("first token")
        raise BackendFailed("backend_cut", "The model's server stopped before the reply was whole.")

    def _request(self) -> ChatRequest:
        command = self._command
        return ChatRequest(
            model=command.question.model,
            context=command.context,
            options=command.options,
            think=command.think,
            format=command.format,
            tools=command.tools,
            first_token_timeout=self._settings.first_token_timeout,
            token_timeout=self._settings.token_timeout,
        )

    def _take(self, piece: Text | ThinkingText | CallTool) -> bool:
        """Write one piece; False when it would not fit any more."""
        if isinstance(piece, CallTool):
            call = ToolCall.model_validate(piece.call.model_dump())
            if not self._fits(len(encode(call))):
                return False
            self.produced.begun()
            self.produced.tool_calls.append(piece.call)
            self._writer.add(call)
            return True
        if not piece.text:
            return True
        kind: TextKind = "token" if isinstance(piece, Text) else "thinking"
        if not self._fits(len(encode_text(kind, piece.text)) - FRAME_BYTES):
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
