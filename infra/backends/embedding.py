"""Asking a model server for vectors: what its refusals mean, and whether what it sends are the vectors that were asked for."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from math import isfinite
from re import IGNORECASE
from re import compile as pattern
from typing import NoReturn

import aiohttp

from contracts.embeddings import CANNOT_EMBED, DIMENSIONS, MOST_DIMENSIONS, VALUE_BYTES, Vectors, packed, unpacked
from contracts.errors import BackendFailed
from contracts.ports.backend import EmbedRequest
from infra.backends.refusals import SAID_BYTES, garbage, read_at_most, refusal

# llama.cpp: This server does not support embeddings; Ollama: this model does not support embeddings; vLLM: The model does not support
# Embeddings API; OpenAI: You are not allowed to generate embeddings from this model
_CANNOT = pattern(rb"(?:not support|not allowed to generate) (?:the )?embedding", IGNORECASE)
# llama.cpp, with a 500: input is too large to process. increase the physical batch size
_TOO_LONG = pattern(rb"input (?:\(\d+ tokens\) )?is too (?:large|long)|input length exceeds", IGNORECASE)
NO_SUCH_CALL = (405, 501)


@asynccontextmanager
async def in_time(server: str, seconds: float) -> AsyncGenerator[None, None]:
    """What is asked inside takes so long at most. Raises BackendFailed (generation_timeout)."""
    try:
        async with asyncio.timeout(seconds):
            yield
    except TimeoutError as error:
        raise BackendFailed("generation_timeout", f"{server} sent no vectors within {seconds:g} s.") from error


async def refuse_to_embed(response: aiohttp.ClientResponse, server: str) -> NoReturn:
    """Raise what an error status means where vectors were asked for."""
    said = await read_at_most(response, SAID_BYTES)
    if _CANNOT.search(said) or response.status in NO_SUCH_CALL or (response.status == 404 and b"model" not in said):
        raise BackendFailed(CANNOT_EMBED, f"This model cannot embed texts on {server}.", retryable=False)
    if _TOO_LONG.search(said):
        sentence = f"{server} answered {response.status}: a text is too long for this model."
        raise BackendFailed("context_too_long", sentence, retryable=False)
    raise refusal(response.status, said, server)


def vectors(
    each: Sequence[Sequence[float] | bytes], request: EmbedRequest, server: str, *, tokens: int, load_ms: int = 0
) -> Vectors:
    """The vectors of these texts, as numbers or packed already. Raises BackendFailed where they are not what was asked for."""
    raw = [one if isinstance(one, bytes) else packed(one) for one in each]
    size = len(raw[0]) if raw else 0
    if len(raw) != len(request.texts) or not size or size % VALUE_BYTES or any(len(one) != size for one in raw):
        raise garbage(server)
    dimensions = size // VALUE_BYTES
    if dimensions > MOST_DIMENSIONS or not all(map(isfinite, (number for one in raw for number in unpacked(one)))):
        raise garbage(server)
    if request.dimensions not in (None, dimensions):
        sentence = f"On {server} this model has vectors of {dimensions} dimensions and no others."
        raise BackendFailed(DIMENSIONS, sentence, retryable=False)
    return Vectors(b"".join(raw), dimensions, max(0, tokens), load_ms)
