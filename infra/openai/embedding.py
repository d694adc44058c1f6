"""OpenAI's embeddings: what is sent, and the shapes of what comes back."""

from base64 import b64decode
from collections.abc import Sequence

import msgspec

from contracts.ports.backend import EmbedRequest
from infra.backends.refusals import garbage


class Embedding(msgspec.Struct):
    """The vector of the text number `index`: numbers, or little-endian float32 in base64."""

    embedding: list[float] | str
    index: int | None = None


class Counted(msgspec.Struct):
    """Tokens as the server counted them."""

    prompt_tokens: int = 0


class Embedded(msgspec.Struct):
    """The answer."""

    data: list[Embedding]
    usage: Counted | None = None

    @property
    def tokens(self) -> int:
        """Of all texts; 0 where the server does not tell."""
        return self.usage.prompt_tokens if self.usage else 0


def embed_body(request: EmbedRequest) -> dict[str, object]:
    """`/v1/embeddings`. base64 is what OpenAI's own client asks for by itself: a fifth of the bytes, and the exact numbers."""
    own = {} if request.dimensions is None else {"dimensions": request.dimensions}
    return {"model": request.model, "input": request.texts, "encoding_format": "base64", **own}


def in_order(said: Embedded, server: str) -> Sequence[list[float] | bytes]:
    """The vectors by their index. Raises BackendFailed (backend_garbage)."""
    numbered = [(number if one.index is None else one.index, one.embedding) for number, one in enumerate(said.data)]
    if sorted(number for number, _ in numbered) != list(range(len(numbered))):
        raise garbage(server)
    try:
        found = sorted(numbered, key=lambda one: one[0])
        return [b64decode(one, validate=True) if isinstance(one, str) else one for _, one in found]
    except ValueError as error:
        raise garbage(server) from error
