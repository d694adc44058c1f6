"""Whether a model really works: its digest against its registry's, then a short answer or a vector, then whether it goes on."""

import time
from contextlib import aclosing
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Literal

import structlog

from contracts.administration import Step, StepProgress
from contracts.commands import SamplingOptions, Turn
from contracts.errors import BackendFailed, Unavailable
from contracts.ports.backend import Backend, BackendRoster, CallTool, ChatRequest, Done, EmbedRequest
from contracts.ports.management import ModelCard, Registries
from contracts.ports.stores import Models, Probes
from contracts.probing import probe
from contracts.records import BackendModel, Probe, Verification
from workers.catalog.stepping import StepFailed
from workers.catalog.telling import Telling

log = structlog.get_logger()

QUESTION = "Say hello in one short sentence."
TOKENS = 32
FIRST_TOKEN = 120.0
"""Seconds; loading the model counts."""
BETWEEN = 60.0


@dataclass
class _Found:
    """What one try has found so far."""

    ttft_ms: int | None = None
    total_ms: int | None = None
    tokens_per_second: float | None = None
    dimensions: int | None = None
    error: str | None = None
    pieces: int = field(default=0)


@dataclass(frozen=True)
class Verifying:
    """Tries models on back-ends, beside whatever else these do."""

    roster: BackendRoster
    models: Models
    registries: Registries
    probes: Probes

    async def verify(self, step: Step, telling: Telling) -> dict[str, object]:
        """The verification, as JSON, also where the model does not work. Raises StepFailed when it is not there (any more)."""
        backend = self.roster.backends.get(step.target)
        listed = await self._listed(step)
        if backend is None or listed is None:
            raise StepFailed("model_not_found", f"{step.target} does not have {step.model!r} (any more).")
        await _phase(telling, step, "comparing its digest")
        digest = await self._digest(backend, step.model)
        chats = "chat" in listed.capabilities
        await _phase(telling, step, "asking it" if chats else "having it embed")
        found = await (_asked(backend, step.model) if chats else _embedded(backend, step.model))
        if digest == "different" and found.error is None:
            found.error = "Its digest is not the one that its registry has now: pull it again, or somebody changed it."
        continues = None
        if chats and found.error is None:
            await _phase(telling, step, "finding out whether it goes on")
            continues = await self._continues(backend, listed)
        made = Verification(
            backend=step.target, works=found.error is None, at=datetime.now(UTC), digest=digest, ttft_ms=found.ttft_ms,
            total_ms=found.total_ms, tokens_per_second=found.tokens_per_second, dimensions=found.dimensions,
            continues=continues, error=found.error,
        )  # fmt: skip
        return made.model_dump(mode="json")

    async def _listed(self, step: Step) -> BackendModel | None:
        model = next((one for one in await self.models.all() if one.name == step.model), None)
        return next((one for one in model.served_by if one.backend == step.target), None) if model else None

    async def _digest(self, backend: Backend, model: str) -> Literal["same", "different", "unknown"]:
        if backend.management is None:
            return "unknown"
        try:
            card = await backend.management.card(model)
        except BackendFailed as failed:
            log.info("card_not_told", backend=backend.settings.name, model=model, why=str(failed))
            return "unknown"
        manifest = await self.registries.manifest(model)
        if manifest is None:
            return "unknown"
        return compared(card, manifest.digest, manifest.layer)

    async def _continues(self, backend: Backend, listed: BackendModel) -> bool | None:
        """As inference workers know it; else it is found out, and they know it from now on."""
        name = backend.settings.name
        try:
            known = await self.probes.known(name, listed.name, listed.digest)
            if known is None:
                continues = await probe(backend, listed.name)
                known = Probe(
                    backend=name, model=listed.name, digest=listed.digest, continues=continues, probed_at=datetime.now(UTC)
                )  # fmt: skip
                await self.probes.keep(known)
        except (BackendFailed, Unavailable) as error:
            log.info("not_probed", backend=name, model=listed.name, why=str(error))
            return None
        return known.continues


def compared(card: ModelCard, digest: str, layer: str | None) -> Literal["same", "different", "unknown"]:
    """The manifest's digest decides where it is equal; a back-end that wrote its manifest anew still has the same weights, or not."""
    if _hex(card.digest) == _hex(digest):
        return "same"
    if card.layer is None or layer is None:
        return "unknown"
    return "same" if _hex(card.layer) == _hex(layer) else "different"


def _hex(digest: str | None) -> str:
    return (digest or "").rpartition(":")[2].rpartition("-")[2].lower()


async def _phase(telling: Telling, step: Step, status: str) -> None:
    await telling.tell(StepProgress(backend=step.target, status=status))


async def _asked(backend: Backend, model: str) -> _Found:
    found, began, first = _Found(), time.monotonic(), None
    request = ChatRequest(
        model=model,
        context=(Turn(role="user", content=QUESTION),),
        options=SamplingOptions(temperature=0, max_tokens=TOKENS),
        first_token_timeout=FIRST_TOKEN,
        token_timeout=BETWEEN,
    )
    try:
        async with aclosing(backend.chat(request)) as pieces:
            async for piece in pieces:
                now = time.monotonic()
                if isinstance(piece, Done):
                    found.total_ms = round((now - began) * 1000)
                    tokens = piece.usage.output_tokens or found.pieces
                    if first is not None and tokens > 1 and now > first:
                        found.tokens_per_second = round((tokens - 1) / (now - first), 1)
                elif first is None:
                    first = now
                    found.ttft_ms = round((now - began) * 1000)
                found.pieces += 0 if isinstance(piece, Done | CallTool) else piece.tokens
    except BackendFailed as failed:
        found.error = str(failed)
        return found
    if not found.pieces:
        found.error = "It said nothing."
    return found


async def _embedded(backend: Backend, model: str) -> _Found:
    found, began = _Found(), time.monotonic()
    try:
        vectors = await backend.embed(EmbedRequest(model=model, texts=(QUESTION,), timeout=FIRST_TOKEN))
    except BackendFailed as failed:
        found.error = str(failed)
        return found
    found.total_ms = round((time.monotonic() - began) * 1000)
    found.dimensions = vectors.dimensions
    return found
