"""JSON of embeddings, as OpenAI's and Ollama's clients send and read it. What cannot be honoured is refused by name."""

from typing import Annotated, Literal, cast

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from api.embedding import Texts
from api.schemas.chats import Name
from api.schemas.refusing import refuse_unknown
from api.schemas.text import Text
from contracts.embeddings import MOST_DIMENSIONS, MOST_TEXTS

HARMLESS = {"user", "metadata", "safety_identifier"}
"""What changes nothing about vectors: for OpenAI's own books."""


OF_CHATS = {
    "temperature", "top_k", "top_p", "min_p", "seed", "num_predict", "stop", "repeat_penalty", "repeat_last_n", "mirostat",
    "mirostat_eta", "mirostat_tau", "tfs_z", "typical_p", "presence_penalty", "frequency_penalty", "num_gpu", "num_thread",
    "main_gpu", "low_vram", "numa", "use_mmap", "use_mlock", "num_batch", "num_keep", "f16_kv", "embedding_only",
}  # fmt: skip
"""Ollama's options that change no vector: of sampling, which clients share with their chats, and of how a server runs."""


def _no_tokens(value: object) -> object:
    """Token numbers mean something to their own model's tokenizer alone, which nobody here has."""
    if isinstance(value, list):
        listed = cast(list[object], value)
        if listed and isinstance(listed[0], int | list):
            raise ValueError("should be text: token arrays cannot be read here")
        return listed
    return value


Said = Annotated[Text, Field(min_length=1)]
Dimensions = Annotated[int, Field(ge=1, le=MOST_DIMENSIONS)]
Words = Annotated[
    Said | Annotated[list[Said], Field(min_length=1, max_length=MOST_TEXTS)],
    BeforeValidator(_no_tokens, json_schema_input_type=str | list[str]),
]


class EmbeddingsBody(BaseModel):
    """Texts for OpenAI's embeddings. `encoding_format`: numbers, or little-endian float32 in base64."""

    model_config = ConfigDict(extra="allow")

    model: Name = Field(examples=["nomic-embed-text"])
    input: Words = Field(examples=["Why is the sky blue?"])
    encoding_format: Literal["float", "base64"] | None = None
    dimensions: Dimensions | None = None

    def texts(self) -> Texts:
        """What is asked for. Raises Unsupported for what cannot be honoured."""
        refuse_unknown({name: one for name, one in (self.model_extra or {}).items() if name not in HARMLESS}, {})
        texts = (self.input,) if isinstance(self.input, str) else tuple(self.input)
        return Texts(self.model, texts, self.dimensions)


class EmbeddingItem(BaseModel):
    """The vector of the text number `index`."""

    object: Literal["embedding"]
    index: int
    embedding: list[float] | str


class EmbeddingsUsage(BaseModel):
    """Tokens of all texts as the model's server counted them; 0 where it does not tell."""

    prompt_tokens: int
    total_tokens: int


class EmbeddingsAnswer(BaseModel):
    """Vectors in the order of the texts."""

    object: Literal["list"]
    data: list[EmbeddingItem]
    model: str
    usage: EmbeddingsUsage


class OllamaEmbedOptions(BaseModel):
    """`num_ctx`: tokens of context that are needed at least. Those of sampling change no vector and are let pass."""

    model_config = ConfigDict(extra="allow")

    num_ctx: Annotated[int, Field(ge=0, lt=2**31)] | None = None


class OllamaEmbedBody(BaseModel):
    """Texts for Ollama's embed. `truncate` (true): what is too long for the model is cut where its back-end does so, else an error.
    `keep_alive`: the platform decides how long models stay loaded."""

    model_config = ConfigDict(extra="allow")

    model: Name = Field(examples=["nomic-embed-text"])
    input: Text | Annotated[list[Text], Field(max_length=MOST_TEXTS)] | None = Field(
        default=None, examples=["Why is the sky blue?"]
    )
    truncate: bool | None = None
    dimensions: Annotated[int, Field(ge=0, le=MOST_DIMENSIONS)] | None = Field(default=None, description="0: all.")
    options: OllamaEmbedOptions | None = None
    keep_alive: float | Annotated[str, Field(max_length=100)] | None = None

    @property
    def context_wanted(self) -> int:
        """Tokens of context that the model needs to have; 0 where the caller does not say."""
        return (self.options and self.options.num_ctx) or 0

    def texts(self) -> Texts | None:
        """What is asked for; None without a text, which only loads the model. Raises Unsupported for what cannot be honoured."""
        refuse_unknown(self.model_extra, {})
        options = (self.options and self.options.model_extra) or {}
        refuse_unknown(
            {name: one for name, one in options.items() if name not in OF_CHATS and one != []}, {}, "options."
        )
        texts = (self.input,) if isinstance(self.input, str) else tuple(self.input or ())
        if texts in ((), ("",)):
            return None
        return Texts(self.model, texts, self.dimensions or None, self.truncate is not False)


class OllamaEmbedAnswer(BaseModel):
    """Vectors in the order of the texts. Durations in nanoseconds."""

    model: str
    embeddings: list[list[float]]
    total_duration: int
    load_duration: int
    prompt_eval_count: int
