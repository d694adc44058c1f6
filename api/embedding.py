"""Texts that are to become vectors: checked, published, and waited for; nothing of it is kept."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import structlog
from structlog.contextvars import bound_contextvars

from api import metrics
from api.errors import NotAnswered, Stopping
from api.explore import Explore, pool_of
from contracts.commands import EmbedTexts
from contracts.embeddings import NotEmbedded, Vectors
from contracts.errors import OllamaNetError
from contracts.ids import new_id
from contracts.ports.bus import Bus
from contracts.ports.embeddings import EmbeddingResults
from contracts.records import Model

log = structlog.get_logger()

WITHIN = 60.0
"""Seconds from the call to its vectors, waiting for a slot and loading the model included."""


@dataclass(frozen=True)
class Texts:
    """What a caller asks for. `truncate`: what is too long for the model may be cut."""

    model: str
    texts: tuple[str, ...]
    dimensions: int | None = None
    truncate: bool = False


@dataclass(frozen=True)
class Embedding:
    """`ends`: whether this edge stops."""

    bus: Bus
    results: EmbeddingResults
    explore: Explore
    ends: Callable[[], bool]

    async def embed(self, owner: str, asked: Texts, *, allow: Callable[[], Awaitable[None]]) -> tuple[Model, Vectors]:
        """The vectors of these texts, at least one, and the model that made them. `allow`: raises RateLimited.

        Cancelled, nobody waits any more, and a worker that has not begun leaves it. Raises Stopping, RateLimited, UnknownModel,
        ModelRetired, ModelUnavailable, Unroutable, Overloaded, Unavailable, NotAnswered.
        """
        try:
            model, vectors = await self._embed(owner, asked, allow)
        except OllamaNetError as error:
            metrics.EMBEDDINGS.labels(error.code if isinstance(error, NotAnswered) else type(error).__name__).inc()
            raise
        metrics.EMBEDDINGS.labels("embedded").inc()
        return model, vectors

    async def _embed(self, owner: str, asked: Texts, allow: Callable[[], Awaitable[None]]) -> tuple[Model, Vectors]:
        if self.ends():
            raise Stopping
        await allow()
        model = await self.explore.available(asked.model)
        command = _command(owner, asked, model)
        with bound_contextvars(embedding_id=command.embedding_id):
            await self.bus.publish(command)
            log.debug("texts_published", model=model.name, texts=len(command.inputs), pool=command.pool)
            result = await self.results.wait(command.embedding_id, command.deadline)
        if result is None:
            raise NotAnswered("embedding_timeout", f"There were no vectors within {WITHIN:g} seconds.", retryable=True)
        if isinstance(result, NotEmbedded):
            raise NotAnswered(result.code, result.message, retryable=result.retryable)
        return model, result


def _command(owner: str, asked: Texts, model: Model) -> EmbedTexts:
    return EmbedTexts(
        embedding_id=new_id(),
        owner=owner,
        model=model.name,
        pool=pool_of(model),
        inputs=asked.texts,
        dimensions=asked.dimensions,
        truncate=asked.truncate,
        deadline=datetime.now(UTC) + timedelta(seconds=WITHIN),
    )
