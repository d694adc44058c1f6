"""Whether a model goes on from an answer that was begun: asked of the model itself."""

from contextlib import aclosing

from contracts.commands import SamplingOptions, Turn
from contracts.errors import BackendFailed
from contracts.ports.backend import PROBE, Backend, ChatRequest, Done, Text

TOKENS, HEAD = 16, 8
"""Of the answer, and of its beginning that the model gets."""
SLACK = 2
"""Tokens more than the rest has: the model may say the whitespace again at which its answer was cut."""
PATIENCE = 10.0
"""Seconds for each token."""


async def probe(backend: Backend, model: str) -> bool:
    """Whether the model goes on: at temperature 0 the first half of its answer, given back to it, must give the other half.

    False also where that cannot be told: it thinks, it hardly answers, or its server refuses what was begun. Raises BackendFailed.
    """
    whole, reason = await _said(backend, model, "", TOKENS)
    head, size = "", 0
    for piece in whole:
        if size >= min(HEAD, len(whole) // 2):
            break
        head, size = head + piece.text, size + piece.tokens
    text = "".join(one.text for one in whole)
    if not head.strip() or head == text:
        return False
    try:
        rest, end = await _said(backend, model, head, TOKENS - size + SLACK)
    except BackendFailed as error:
        if error.retryable:
            raise
        return False
    joined = head + "".join(one.text for one in rest)
    return joined.startswith(text) if reason == "length" else (joined, end) == (text, reason)


async def _said(backend: Backend, model: str, said: str, tokens: int) -> tuple[list[Text], str]:
    """The text of an answer to the probe's question, and why it ended; nothing where the model also thinks."""
    request = ChatRequest(
        model=model,
        context=(Turn(role="user", content=PROBE),),
        options=SamplingOptions(temperature=0, max_tokens=tokens),
        said=said,
        first_token_timeout=PATIENCE,
        token_timeout=PATIENCE,
    )
    found: list[Text] = []
    async with aclosing(backend.chat(request)) as pieces:
        async for piece in pieces:
            if isinstance(piece, Done):
                return found, piece.finish_reason
            if not isinstance(piece, Text):
                return [], ""
            found.append(piece)
    return found, ""
