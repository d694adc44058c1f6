"""What a model server's own errors mean, as BackendFailed."""

import asyncio
import re
from collections.abc import Awaitable, Callable
from typing import NoReturn

import aiohttp
import msgspec

from contracts.errors import BackendFailed
from infra.backends.guard import ALLOWING, PrivateAddress

SAID_BYTES = 64 * 1024
"""What is read of an error's body."""
SAID_TIMEOUT = 10.0
WORDS = 300
"""Characters of a server's own error message that are told."""
RETRYABLE = (408, 429)
"""The only statuses below 500 that another try may cure."""
SECRETIVE = (401, 403, 407)
"""Their words may quote our key, and are read by whoever asked the question: they are not told."""
# llama.cpp: exceeds the available context size; OpenAI, vLLM: maximum context length, maximum model length; Ollama >= 0.12.6: exceeds
# the context length. Not "context deadline exceeded", Go's time-out.
_TOO_LONG = re.compile(
    rb"context[ _](?:size|length|window)|maximum model length|prompt (?:is )?too long", re.IGNORECASE
)

Refuse = Callable[[aiohttp.ClientResponse, str], Awaitable[NoReturn]]
"""Raises what an error status of the server of that name means."""


async def refuse(response: aiohttp.ClientResponse, server: str) -> NoReturn:
    """Raise what an error status means."""
    raise refusal(response.status, await read_at_most(response, SAID_BYTES), server)


async def read_at_most(response: aiohttp.ClientResponse, size: int) -> bytes:
    """The beginning of a body, up to `size` bytes, as far as it comes within 10 s."""
    said = bytearray()
    try:
        async with asyncio.timeout(SAID_TIMEOUT):
            while len(said) < size and (more := await response.content.readany()):
                said += more
    except (aiohttp.ClientError, OSError, TimeoutError):
        pass
    return bytes(said[:size])


def refusal(status: int, said: bytes, server: str) -> BackendFailed:
    """What an error status means; `said` is its body."""
    if status in SECRETIVE:
        return BackendFailed("backend_error", f"{server} answered {status}: it does not let us in.", retryable=False)
    if 300 <= status < 400:
        return BackendFailed("backend_error", f"{server} answered {status}: it is elsewhere now.", retryable=False)
    return _told(status, said, f"{server} answered {status}: {_words(said)}")


def broke_off(said: bytes, server: str) -> BackendFailed:
    """What an error object in mid-stream means: a failure of the server's, unless its `code` or `status` is one that says otherwise."""
    whole = _decoded(said)
    code = _field(_field(whole, "error"), "code") or _field(whole, "code") or _field(whole, "status")
    status = code if isinstance(code, int) and 400 <= code < 600 else 500
    return _told(status, said, f"{server} broke off: {_words(said)}")


def _told(status: int, said: bytes, sentence: str) -> BackendFailed:
    if _TOO_LONG.search(said):
        return BackendFailed("context_too_long", sentence, retryable=False)
    return BackendFailed("backend_error", sentence, retryable=status >= 500 or status in RETRYABLE)


def _words(said: bytes) -> str:
    """The message in an error body: `{"error": "…"}`, `{"error": {"message": "…"}}` (also inside a string), or as it is."""
    value = _decoded(said)
    if value is None:
        text = said.decode("utf-8", "replace").strip()
        return "(a web page)" if text.startswith("<") else text[:WORDS] or "(nothing)"
    for key in ("error", "message"):
        value = _field(value, key) or value
    if isinstance(value, str) and value.startswith("{") and _decoded(value.encode()):
        return _words(value.encode())  # Ollama passes its runner's whole body on as a string
    return str(value)[:WORDS]


def _decoded(said: bytes) -> object:
    try:
        return msgspec.json.decode(said)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None


def _field(value: object, name: str) -> object:
    return value.get(name) if isinstance(value, dict) else None


def garbage(server: str) -> BackendFailed:
    """The server sent what is not of its protocol."""
    return BackendFailed("backend_garbage", f"{server} sent something that is not its protocol.")


def cut(server: str) -> BackendFailed:
    """The answer stopped without its end mark."""
    return BackendFailed("backend_cut", f"{server} cut the line.")


def unreachable(server: str, error: BaseException | None = None) -> BackendFailed:
    """Nobody answers there, or nobody whom we would ask; `error` knows why."""
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        why = "shows a certificate that we do not trust."
    elif isinstance(error, aiohttp.ClientConnectorSSLError):
        why = "does not speak TLS as we do."
    elif isinstance(error, aiohttp.ClientConnectorError) and isinstance(error.os_error, PrivateAddress):
        why = f"is at a private address, which is not allowed here ({ALLOWING})."
    else:
        why = "does not answer."
    return BackendFailed("backend_unreachable", f"{server} {why}")
