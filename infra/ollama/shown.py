"""What Ollama tells of its models: `/api/tags`, `/api/show` and `/api/ps`."""

import re
from contextlib import suppress
from datetime import datetime

import msgspec

from contracts.ports.management import ModelCard
from contracts.records import BackendModel, BackendSettings, LoadedModel

LARGEST_CONTEXT = 8192
"""Tokens. Ollama cuts a longer context silently at its own default (4096), so every call says `num_ctx`; a larger one costs memory,
and is what a Modelfile asks for by its own `PARAMETER num_ctx`."""
DESCRIPTION = 1000
"""Characters of what a file says of itself that are told."""
# the first is the weights', the others are its projectors'; its path is this computer's or another's, also with backslashes
_FROM = re.compile(r"^FROM .*sha256-([0-9a-f]{64})\s*$", re.MULTILINE)


class Details(msgspec.Struct):
    """What its file says of a model."""

    family: str | None = None
    parameter_size: str | None = None
    quantization_level: str | None = None


class Tag(msgspec.Struct):
    """One line of the list."""

    name: str
    digest: str | None = None
    size: int | None = None
    details: Details | None = None


class Tags(msgspec.Struct):
    """The list."""

    models: list[Tag] | None = None


class Resident(msgspec.Struct):
    """One model in memory. `context_length` since 0.9.4."""

    name: str
    size: int | None = None
    size_vram: int | None = None
    context_length: int | None = None
    expires_at: datetime | None = None

    def loaded(self) -> LoadedModel:
        """The record of it."""
        return LoadedModel(
            name=self.name.removesuffix(":latest"),
            size_bytes=self.size,
            gpu_bytes=self.size_vram,
            context_length=self.context_length,
            expires_at=self.expires_at,
        )


class Running(msgspec.Struct):
    """All of them."""

    models: list[Resident] | None = None


class Shown(msgspec.Struct):
    """One model in full. `capabilities` is missing before 0.6.4; `parameters`: the Modelfile's, a line each."""

    capabilities: list[str] | None = None
    model_info: dict[str, object] | None = None
    license: str | None = None
    parameters: str | None = None

    @property
    def answers(self) -> bool:
        """Whether it chats or embeds: others are of no use here."""
        return self.capabilities is None or not {"completion", "embedding"}.isdisjoint(self.capabilities)

    @property
    def levels(self) -> bool:
        """Whether it can be told how much to think, and not only whether to: gpt-oss alone."""
        return (self.model_info or {}).get("general.architecture") in ("gptoss", "gpt-oss")

    @property
    def context(self) -> int:
        """Tokens of context that calls ask for: the Modelfile's, else the model's own up to the largest."""
        asked = [int(value) for name, value in self._parameters() if name == "num_ctx" and value.isdecimal()]
        trained = [
            v for k, v in (self.model_info or {}).items() if k.endswith(".context_length") and isinstance(v, int)
        ]
        own = trained[0] if trained else LARGEST_CONTEXT
        return min(asked[-1], own) if asked else min(own, LARGEST_CONTEXT)

    @property
    def description(self) -> str | None:
        """What its file says of itself."""
        said = (self.model_info or {}).get("general.description")
        return (said.strip()[:DESCRIPTION] or None) if isinstance(said, str) else None

    @property
    def named(self) -> tuple[str, ...]:
        """Its capabilities by our names."""
        return tuple("chat" if one == "completion" else one for one in self.capabilities or ("completion",))

    @property
    def stops(self) -> tuple[str, ...]:
        """The Modelfile's stop strings."""
        found: list[str] = []
        for name, value in self._parameters():
            if name == "stop":
                with suppress(msgspec.DecodeError):  # quoted as Go does, which is nearly JSON
                    found.append(msgspec.json.decode(value, type=str))
        return tuple(found)

    def _parameters(self) -> list[tuple[str, str]]:
        lines = (line.split(None, 1) for line in (self.parameters or "").splitlines())
        return [(line[0], line[1].strip()) for line in lines if len(line) == 2]


class Card(Shown):
    """The same with what only administrators read. `modelfile`: what it would be made of again."""

    modelfile: str | None = None

    def card(self, name: str, digest: str | None) -> ModelCard:
        """The record of it."""
        weights = _FROM.search(self.modelfile or "")
        return ModelCard(
            name=name.removesuffix(":latest"),
            digest=digest,
            layer=f"sha256:{weights[1]}" if weights else None,
            license=(self.license or "").strip() or None,
            modelfile=self.modelfile,
            capabilities=self.named,
        )


def described(tag: Tag, shown: Shown, settings: BackendSettings) -> BackendModel:
    """The record of a model."""
    details = tag.details or Details()
    return BackendModel(
        name=tag.name.removesuffix(":latest"),
        backend=settings.name,
        pool=settings.pool,
        digest=tag.digest,
        capabilities=shown.named,
        sees=None if shown.capabilities is None else "vision" in shown.capabilities,
        family=details.family,
        parameter_size=details.parameter_size,
        quantization=details.quantization_level,
        size_bytes=tag.size,
        context_length=shown.context,
        license=_first_line(shown.license),
        description=shown.description,
    )


def _first_line(text: str | None) -> str | None:
    return next((one.strip()[:200] for one in (text or "").splitlines() if one.strip()), None)
