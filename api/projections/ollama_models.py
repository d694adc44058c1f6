"""Models as Ollama lists and shows them, as far as their back-ends tell."""

import hashlib
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from api.explore import context_length_of, license_of
from api.projections.ollama import when
from contracts.records import BackendHealth, BackendModel, LoadedModel, Model

CAPABILITIES = {"chat": "completion"}
"""What Ollama calls otherwise."""

SHORTEST_DIGEST = 12


def listed(model: Model) -> dict[str, Any]:
    """A model of the list. Its size is 0 where no back-end tells it."""
    known = _known(model)
    name = tagged(model.name)
    return {
        "name": name,
        "model": name,
        "modified_at": when(model.updated_at),
        "size": known.size_bytes or 0,
        "digest": _digest(model.name, known),
        "details": _details(known),
    }


def resident(models: Mapping[str, Model], health: Sequence[BackendHealth]) -> list[dict[str, Any]]:
    """The models that back-ends have in memory, each once: where it stays the longest."""
    found: dict[str, LoadedModel] = {}
    for one in (loaded for seen in health if seen.healthy for loaded in seen.loaded):
        if one.name in models and (one.name not in found or _stays(one) > _stays(found[one.name])):
            found[one.name] = one
    return [_resident(models[name], found[name]) for name in sorted(found)]


def _stays(loaded: LoadedModel) -> datetime:
    return loaded.expires_at or datetime.max.replace(tzinfo=UTC)


def _resident(model: Model, loaded: LoadedModel) -> dict[str, Any]:
    one = listed(model)
    del one["modified_at"]
    return {
        **one,
        "size": loaded.size_bytes or one["size"],
        "expires_at": when(_stays(loaded)),
        "size_vram": loaded.gpu_bytes or 0,
        "context_length": loaded.context_length or context_of(model) or 0,
    }


def shown(model: Model) -> dict[str, Any]:
    """A model in full. The Modelfile, its parameters and its template stay with the back-ends."""
    known = _known(model)
    return {
        "license": license_of(model) or "",
        "modelfile": "",
        "parameters": "",
        "template": "",
        "details": _details(known),
        "model_info": _info(model, known),
        "capabilities": [CAPABILITIES.get(one, one) for one in known.capabilities],
        "modified_at": when(model.updated_at),
    }


def context_of(model: Model) -> int | None:
    """Tokens that it takes, or took when it was last served; None where no back-end tells."""
    return context_length_of(model) or _known(model).context_length


def tagged(name: str) -> str:
    """`x` is listed as `x:latest`."""
    return name if ":" in name.rpartition("/")[2] else f"{name}:latest"


def _known(model: Model) -> BackendModel:
    return model.known or BackendModel(name=model.name, backend="", capabilities=())


def _digest(name: str, known: BackendModel) -> str:
    """The back-end's own, else one of the name: clients tell models apart by it, and cut 12 characters out of it."""
    told = known.digest or ""
    return told if len(told) >= SHORTEST_DIGEST else hashlib.sha256(name.encode()).hexdigest()


def _details(known: BackendModel) -> dict[str, Any]:
    return {
        "parent_model": "",
        "format": "",
        "family": known.family or "",
        "families": [known.family] if known.family else [],
        "parameter_size": known.parameter_size or "",
        "quantization_level": known.quantization or "",
    }


def _info(model: Model, known: BackendModel) -> dict[str, Any]:
    family, context = known.family, context_of(model)
    return {
        **({"general.architecture": family} if family else {}),
        **({f"{family or 'general'}.context_length": context} if context else {}),
    }
