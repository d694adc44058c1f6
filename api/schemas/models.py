"""JSON of models."""

from collections.abc import Sequence
from datetime import datetime
from typing import Literal

from pydantic import BaseModel

from api.explore import context_length_of
from contracts.records import BackendModel, Model


class ModelBody(BaseModel):
    """A model that people may choose. `unavailable`: no back-end serves it right now."""

    name: str
    description: str
    tags: tuple[str, ...]
    capabilities: tuple[str, ...]
    family: str | None
    parameter_size: str | None
    quantization: str | None
    size_bytes: int | None
    context_length: int | None
    license: str | None
    status: Literal["available", "unavailable"]
    backends: tuple[str, ...]
    verified_at: datetime | None
    updated_at: datetime

    @classmethod
    def of(cls, model: Model) -> "ModelBody":
        """A model as people see it."""
        known = model.known or BackendModel(name=model.name, backend="", capabilities=())
        return cls(
            name=model.name,
            description=model.description,
            tags=model.tags,
            capabilities=known.capabilities,
            family=known.family,
            parameter_size=known.parameter_size,
            quantization=known.quantization,
            size_bytes=known.size_bytes,
            context_length=context_length_of(model) or known.context_length,
            license=known.license,
            status="available" if model.available else "unavailable",
            backends=tuple(one.backend for one in model.served_by),
            verified_at=model.verified_at,
            updated_at=model.updated_at,
        )


class ModelList(BaseModel):
    """One page of models, by name."""

    items: list[ModelBody]
    next_cursor: str | None

    @classmethod
    def of(cls, models: Sequence[Model], next_cursor: str | None) -> "ModelList":
        """A page as JSON."""
        return cls(items=[ModelBody.of(one) for one in models], next_cursor=next_cursor)
