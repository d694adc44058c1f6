"""From texts to vectors: a slot, a back-end that has the model, and the result where the edge waits for it."""

import asyncio
import time
from collections.abc import Generator, Sequence
from contextlib import contextmanager

import structlog
from opentelemetry import trace
from structlog.contextvars import bound_contextvars

from contracts.commands import EmbedTexts
from contracts.embeddings import MOST_VALUES, TOO_LARGE, EmbeddingResult, NotEmbedded, Vectors
from contracts.errors import BackendFailed, HandOver, Unavailable, UnknownModel
from contracts.ports.backend import EmbedRequest
from contracts.ports.embeddings import EmbeddingResults
from workers.inference import metrics
from workers.inference.affinity import Wish
from workers.inference.patience import patiently, seconds_until
from workers.inference.settings import InferenceSettings
from workers.inference.slots import Slot, Slots
from workers.inference.tries import Tries

log = structlog.get_logger()
tracer = trace.get_tracer("ollamanet.inference")

TOGETHER = 64
"""Texts of one call to a back-end: its answer stays small, and reading it holds up the tokens of other answers for milliseconds only."""


class Embedding:
    """Embeds in the slots of the generations. Nothing is recorded: what this process loses comes again, as long as somebody waits."""

    def __init__(self, results: EmbeddingResults, slots: Slots, settings: InferenceSettings) -> None:
        self._results = results
        self._slots = slots
        self._settings = settings
        self._waiting: set[asyncio.Task[object]] = set()
        self._stopping = False

    async def embed(self, command: EmbedTexts) -> None:
        """Put exactly one result, unless nobody waits for it (any more). Raises HandOver."""
        with bound_contextvars(embedding_id=command.embedding_id):
            if seconds_until(command.deadline) <= 0 or not await self._wanted(command):
                _note("in vain")
                return
            result = await self._in_time(command)
            if result is None:
                _note("late")
                return
            _note(result.code if isinstance(result, NotEmbedded) else "embedded")
            await self._put(command, result)

    def hand_over_waiting(self) -> None:
        """Begin nothing more, and give back what has no slot yet; what runs may end."""
        self._stopping = True
        for task in self._waiting:
            task.cancel()

    async def _wanted(self, command: EmbedTexts) -> bool:
        try:
            return await self._results.wanted(command.embedding_id)
        except Unavailable:  # the result will have to wait for it anyway
            return True

    async def _put(self, command: EmbedTexts, result: EmbeddingResult) -> None:
        try:
            await patiently(
                "vectors",
                lambda: self._results.put(command.embedding_id, result, command.deadline),
                until=command.deadline,
            )
        except Unavailable as error:
            log.warning("vectors_lost", why=str(error))

    async def _in_time(self, command: EmbedTexts) -> EmbeddingResult | None:
        """None: nobody waits any more."""
        try:
            async with asyncio.timeout(seconds_until(command.deadline)):
                return await self._vectors(command)
        except TimeoutError:
            return None
        except BackendFailed as error:
            return NotEmbedded(error.code, str(error), error.retryable)
        except UnknownModel as error:
            return NotEmbedded("unknown_model", str(error), retryable=False)

    async def _vectors(self, command: EmbedTexts) -> Vectors:
        """On one back-end after the other, as long as another try may help. Never of two: their vectors may not compare."""
        tries, since, failed = Tries(), time.monotonic(), list[str]()
        while True:
            with await self._slot(command, since, failed) as slot, metrics.EMBEDDING.track_inprogress():
                try:
                    return await self._on(slot, command)
                except BackendFailed as error:
                    slot.failed(error)
                    metrics.BACKEND_ERRORS.labels(slot.name, error.code).inc()
                    log.warning("backend_failed", backend=slot.name, code=error.code, why=str(error), tries=tries.made)
                    if not tries.another(error, shown=False):
                        raise
                failed.append(slot.name)
            if not self._slots.elsewhere(Wish(command.model, failed)):
                await asyncio.sleep(tries.pause)

    async def _slot(self, command: EmbedTexts, since: float, failed: Sequence[str]) -> Slot:
        with self._may_be_handed_over():
            return await self._slots.take(Wish(command.model, failed), since=since)

    @contextmanager
    def _may_be_handed_over(self) -> Generator[None, None, None]:
        """Cancelled inside, the delivery goes back."""
        task = asyncio.current_task()
        if self._stopping or task is None:
            raise HandOver("This process is stopping.")
        self._waiting.add(task)
        try:
            yield
        finally:
            self._waiting.discard(task)

    async def _on(self, slot: Slot, command: EmbedTexts) -> Vectors:
        attributes = {"ollamanet.backend": slot.name, "gen_ai.request.model": command.model}
        with tracer.start_as_current_span("backend embed", kind=trace.SpanKind.CLIENT, attributes=attributes):
            parts: list[Vectors] = []
            for at in range(0, len(command.inputs), TOGETHER):
                parts.append(await self._part(slot, command, command.inputs[at : at + TOGETHER]))
                _check(parts, len(command.inputs), slot.name)
        slot.ended()
        metrics.EMBEDDED.labels(slot.name).inc(len(command.inputs))
        return Vectors(
            b"".join(one.packed for one in parts),
            parts[0].dimensions,
            input_tokens=sum(one.input_tokens for one in parts),
            load_ms=sum(one.load_ms for one in parts),
        )

    async def _part(self, slot: Slot, command: EmbedTexts, texts: tuple[str, ...]) -> Vectors:
        timeout = min(self._settings.first_token_timeout, seconds_until(command.deadline))
        request = EmbedRequest(command.model, texts, command.dimensions, command.truncate, timeout)
        return await slot.backend.embed(request)


def _check(parts: list[Vectors], texts: int, backend: str) -> None:
    """Raises BackendFailed where they do not make one result."""
    dimensions = parts[-1].dimensions
    if dimensions != parts[0].dimensions:
        raise BackendFailed("backend_garbage", f"{backend} changed the length of its vectors.")
    if texts * dimensions > MOST_VALUES:
        sentence = f"{texts} vectors of {dimensions} dimensions are too many for one call: send fewer texts at once."
        raise BackendFailed(TOO_LARGE, sentence, retryable=False)


def _note(outcome: str) -> None:
    metrics.EMBEDDINGS.labels(outcome).inc()
    log.info("texts_embedded" if outcome == "embedded" else "texts_not_embedded", outcome=outcome)
