"""Servers whose models can be managed: fetched, made, copied, deleted."""

from collections.abc import AsyncGenerator, AsyncIterable, Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol


@dataclass(frozen=True)
class Pulled:
    """One sign of life of a pull or a create. `digest`: the layer that `total` and `completed` (bytes) are about; None: a phase of its own."""

    status: str
    digest: str | None = None
    total: int | None = None
    completed: int | None = None


@dataclass(frozen=True)
class NewModel:
    """A model to be made. `base`: a model that the server has; or `files`: name → digest of blobs that were pushed there before."""

    name: str
    base: str | None = None
    files: Mapping[str, str] = field(default_factory=dict[str, str])
    template: str | None = None
    system: str | None = None
    license: Sequence[str] = ()
    parameters: Mapping[str, object] = field(default_factory=dict[str, object])
    messages: Sequence[Mapping[str, str]] = ()
    quantize: str | None = None


@dataclass(frozen=True)
class ModelCard:
    """What a server tells of one model. `digest` as it is listed; `layer`: the digest of the file with its weights, where told."""

    name: str
    digest: str | None = None
    layer: str | None = None
    license: str | None = None
    modelfile: str | None = None
    capabilities: tuple[str, ...] = ()


@dataclass(frozen=True)
class Manifest:
    """What a registry has under a model's name. `digest`: of the manifest; `layer`: of the file with the weights."""

    digest: str
    layer: str | None = None


class Registries(Protocol):
    """The registries that models come from; which one, stands in the model's name (none there: Ollama's own)."""

    async def manifest(self, model: str, *, insecure: bool = False) -> Manifest | None:
        """None where the registry does not have it, does not answer within 10 s, or may not be asked."""
        ...


@dataclass(frozen=True)
class Download:
    """A file that was fetched: `path` is readable until the context is left. digest: `sha256:<hex>`."""

    path: Path
    digest: str
    size: int


class Downloads(Protocol):
    """Files that are fetched once, from public addresses (unless private ones are allowed)."""

    def fetch(
        self, url: str, told: Callable[[int, int | None], Awaitable[None]]
    ) -> AbstractAsyncContextManager[Download]:
        """Fetch it, telling (bytes that came, bytes in all where known). Redirects are followed and checked like the URL itself.

        Raises BackendFailed with code gguf_unreachable or disk_full.
        """
        ...


class ModelManagement(Protocol):
    """What a server lets us do to its models. Every call raises BackendFailed.

    Codes: those of Backend.chat that fit (backend_unreachable, backend_error, backend_cut, backend_garbage), and `model_not_found`
    (never retryable), `disk_full` (never retryable), `digest_mismatch` (retryable), `pull_stalled` (nothing new heard for `patience`
    seconds; retryable).
    """

    def pull(self, model: str, *, insecure: bool = False, patience: float = 60.0) -> AsyncGenerator[Pulled, None]:
        """Fetch it from its registry; ends when it is there. `aclose()` closes the connection, which is what stops the server;
        what it has by then it keeps, and a later pull goes on from there."""
        ...

    def create(self, model: NewModel, *, patience: float = 600.0) -> AsyncGenerator[Pulled, None]:
        """Make it; ends when it is there."""
        ...

    async def has_blob(self, digest: str) -> bool:
        """Whether it holds a blob `sha256:<hex>`."""
        ...

    async def push_blob(self, digest: str, size: int, content: AsyncIterable[bytes]) -> None:
        """Give it a blob. digest_mismatch where the content has another one."""
        ...

    async def copy(self, model: str, destination: str) -> None:
        """A second name for it."""
        ...

    async def delete(self, model: str) -> None:
        """Model_not_found where it has none of that name."""
        ...

    async def card(self, model: str) -> ModelCard:
        """What it tells of it, asked anew."""
        ...

    async def version(self) -> str: ...
