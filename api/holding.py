"""A call that waits for its one answer, and is given up when its client hangs up, its session or key ends, or this edge stops."""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from fastapi import Request

from api.errors import NotAnswered, NotLoggedIn, Stopping
from api.projections.native import interruption_is_over
from api.security.live import OpenStreams
from contracts.errors import OllamaNetError

T = TypeVar("T")


async def held(streams: OpenStreams, credential_id: str, request: Request, work: Coroutine[Any, Any, T]) -> T:
    """What the work gives. Raises what it raises, NotAnswered ("client_gone"), NotLoggedIn, Stopping; then it is cancelled."""
    with streams.opened(credential_id, resumes=False) as stream:
        stream.began()
        try:
            return await _unless_gone(request, work)
        except asyncio.CancelledError:
            if not stream.ended:
                raise
            interruption_is_over()
            raise why_ended(streams) from None


def why_ended(streams: OpenStreams) -> OllamaNetError:
    """Why this edge ended a call or a stream: it stops, or its caller's session or key has ended."""
    return Stopping() if streams.ending else NotLoggedIn("This session has ended: log in again.")


async def _unless_gone(request: Request, work: Coroutine[Any, Any, T]) -> T:
    working = asyncio.create_task(work, name="a held call")
    gone = asyncio.create_task(_gone(request), name="its client")
    try:
        await asyncio.wait((working, gone), return_when=asyncio.FIRST_COMPLETED)
        if working.done():
            return working.result()
        raise NotAnswered("client_gone", "The client hung up.", retryable=False)
    finally:
        working.cancel()
        gone.cancel()
        await asyncio.gather(working, gone, return_exceptions=True)


async def _gone(request: Request) -> None:
    """Returns when the client hangs up."""
    while (await request.receive())["type"] != "http.disconnect":
        pass
