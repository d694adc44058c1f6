"""Vectors as OpenAI's and Ollama's clients read them: written one by one, so that megabytes of numbers hold up nobody else."""

import asyncio
from base64 import b64encode
from collections.abc import AsyncGenerator, Callable, Iterator

import orjson

from contracts.embeddings import Vectors, unpacked


async def openai_vectors(model: str, vectors: Vectors, *, base64: bool) -> AsyncGenerator[bytes, None]:
    """The body of `/v1/embeddings`. `base64`: the packed numbers, little-endian float32, in base64."""
    usage = {"prompt_tokens": vectors.input_tokens, "total_tokens": vectors.input_tokens}

    def item(number: int, raw: bytes) -> bytes:
        embedding = b64encode(raw).decode() if base64 else unpacked(raw)
        return orjson.dumps({"object": "embedding", "index": number, "embedding": embedding})

    async for part in _listed(b'{"object":"list","data":[', vectors, item):
        yield part
    yield b"]," + orjson.dumps({"model": model, "usage": usage})[1:]


async def ollama_vectors(model: str, vectors: Vectors | None, took_s: float) -> AsyncGenerator[bytes, None]:
    """The body of `/ollama/api/embed`. None: there was no text."""
    load_ms, tokens = (vectors.load_ms, vectors.input_tokens) if vectors else (0, 0)
    told = {
        "total_duration": int(took_s * 1e9), "load_duration": load_ms * 1_000_000, "prompt_eval_count": tokens,
    }  # fmt: skip
    head = orjson.dumps({"model": model})[:-1] + b',"embeddings":['
    async for part in _listed(head, vectors or (), lambda _, raw: orjson.dumps(unpacked(raw))):
        yield part
    yield b"]," + orjson.dumps(told)[1:]


async def _listed(
    head: bytes, vectors: Vectors | tuple[()], item: Callable[[int, bytes], bytes]
) -> AsyncGenerator[bytes, None]:
    yield head
    raws: Iterator[bytes] = iter(vectors)
    for number, raw in enumerate(raws):
        await asyncio.sleep(0)
        yield (b"," if number else b"") + item(number, raw)
