"""JSON of models."""

from collections.abc import Sequence
from datetime import datetime
from typing import Literal

from pydantic import BaseModel

from api.explore import Choice, Status, context_length_of, description_of, license_of, status_of
from contracts.records import BackendModel, Verification


class VerificationBody(BaseModel):
    """What trying a model on one back-end found, the last time. `works`: it answered, and its digest is not another one than its
    registry's. `continues`: whether it goes on from an answer that was begun; null where nobody found out."""

    backend: str
    works: bool
    digest: Literal["same", "different", "unknown"]
    tokens_per_second: float | None
    ttft_ms: int | None
    total_ms: int | None
    dimensions: int | None
    continues: bool | None
    error: str | None
    at: datetime

    @classmethod
    def of(cls, one: Verification) -> "VerificationBody":
        """A verification as people see it."""
        return cls(
            backend=one.backend,
            works=one.works,
            digest=one.digest,
            tokens_per_second=one.tokens_per_second,
            ttft_ms=one.ttft_ms,
            total_ms=one.total_ms,
            dimensions=one.dimensions,
            continues=one.continues,
            error=one.error,
            at=one.at,
        )


class ModelBody(BaseModel):
    """A model that people may choose, or an alias of one (`alias_of` names it), which shows that model's fields.

    `unavailable`: no back-end serves it right now, or the alias' model is gone. `retired`: nobody may ask it any more.
    """

    name: str
    alias_of: str | None
    description: str
    tags: tuple[str, ...]
    capabilities: tuple[str, ...]
    family: str | None
    parameter_size: str | None
    quantization: str | None
    size_bytes: int | None
    context_length: int | None
    license: str | None
    status: Status
    backends: tuple[str, ...]
    verifications: tuple[VerificationBody, ...]
    verified_at: datetime | None
    updated_at: datetime

    @classmethod
    def of(cls, choice: Choice) -> "ModelBody":
        """A model as people see it."""
        model = choice.shown
        known = model.known or BackendModel(name=model.name, backend="", capabilities=())
        return cls(
            name=model.name,
            alias_of=choice.alias_of,
            description=description_of(model),
            tags=model.tags,
            capabilities=known.capabilities,
            family=known.family,
            parameter_size=known.parameter_size,
            quantization=known.quantization,
            size_bytes=known.size_bytes,
            context_length=context_length_of(model) or known.context_length,
            license=license_of(model),
            status=status_of(model),
            backends=tuple(one.backend for one in model.served_by),
            verifications=tuple(VerificationBody.of(one) for one in model.verifications),
            verified_at=model.verified_at,
            updated_at=model.updated_at,
        )


class ModelList(BaseModel):
    """One page of models."""

    items: list[ModelBody]
    next_cursor: str | None

    @classmethod
    def of(cls, choices: Sequence[Choice], next_cursor: str | None) -> "ModelList":
        """A page as JSON."""
        return cls(items=[ModelBody.of(one) for one in choices], next_cursor=next_cursor)


class TagBody(BaseModel):
    """A tag, and how many models have it; aliases and retired models do not count."""

    tag: str
    count: int


class TagList(BaseModel):
    """All tags, those of the most models first."""

    items: list[TagBody]
    next_cursor: None = None
