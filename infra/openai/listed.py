"""What servers of OpenAI's protocol tell of their models: `/v1/models`, and llama.cpp's `/props`."""

import msgspec

from contracts.records import BackendModel, BackendSettings


class Meta(msgspec.Struct):
    """llama.cpp's own addition."""

    n_ctx_train: int | None = None
    size: int | None = None


class Listed(msgspec.Struct):
    """One model. Its context: `max_model_len` (vLLM), `context_length` (OpenRouter and others). `owned_by`: on servers at home, their
    software."""

    id: str
    owned_by: str | None = None
    max_model_len: int | None = None
    context_length: int | None = None
    meta: Meta | None = None


class Models(msgspec.Struct):
    """The list."""

    data: list[Listed]


class Generation(msgspec.Struct):
    """How llama.cpp runs."""

    n_ctx: int | None = None


class Abilities(msgspec.Struct):
    """What the model's template can say. Tools that it cannot, llama.cpp leaves out without a word."""

    supports_tools: bool | None = None


class Modalities(msgspec.Struct):
    """What the model reads besides text; newer versions tell it."""

    vision: bool | None = None


class Props(msgspec.Struct):
    """llama.cpp's properties."""

    default_generation_settings: Generation | None = None
    chat_template_caps: Abilities | None = None
    modalities: Modalities | None = None

    @property
    def context(self) -> int | None:
        """Tokens for one answer."""
        return self.default_generation_settings.n_ctx if self.default_generation_settings else None

    @property
    def tools(self) -> bool | None:
        """Whether the model can be offered tools; None where that is not told."""
        return self.chat_template_caps.supports_tools if self.chat_template_caps else None

    @property
    def sees(self) -> bool | None:
        """Whether the model reads images; None where that is not told."""
        return self.modalities.vision if self.modalities else None


def described(listed: Listed, running: Props, settings: BackendSettings) -> BackendModel:
    """The record of a model; `running`: how llama.cpp runs it, with a context that may be less than it was trained for."""
    meta = listed.meta or Meta()
    return BackendModel(
        name=listed.id.removesuffix(":latest"),
        backend=settings.name,
        pool=settings.pool,
        size_bytes=meta.size,
        capabilities=("chat", *(("tools",) if running.tools else ()), *(("vision",) if running.sees else ())),
        sees=running.sees,
        context_length=running.context or listed.max_model_len or listed.context_length or meta.n_ctx_train,
    )
