"""What servers of OpenAI's protocol tell of their models: `/v1/models`, and llama.cpp's `/props`."""

import msgspec

from contracts.records import BackendModel, BackendSettings


class Meta(msgspec.Struct):
    """llama.cpp's own addition."""

    n_ctx_train: int | None = None
    size: int | None = None


class Listed(msgspec.Struct):
    """One model. Its context: `max_model_len` (vLLM), `context_length` (OpenRouter and others)."""

    id: str
    max_model_len: int | None = None
    context_length: int | None = None
    meta: Meta | None = None


class Models(msgspec.Struct):
    """The list."""

    data: list[Listed]


class Generation(msgspec.Struct):
    """How llama.cpp runs."""

    n_ctx: int | None = None


class Props(msgspec.Struct):
    """llama.cpp's properties."""

    default_generation_settings: Generation | None = None


def described(listed: Listed, running: int | None, settings: BackendSettings) -> BackendModel:
    """The record of a model; `running`: llama.cpp's context for one answer, which may be less than it was trained for."""
    meta = listed.meta or Meta()
    return BackendModel(
        name=listed.id.removesuffix(":latest"),
        backend=settings.name,
        pool=settings.pool,
        size_bytes=meta.size,
        context_length=running or listed.max_model_len or listed.context_length or meta.n_ctx_train,
    )
