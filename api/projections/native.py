"""The platform's own wire format: the log's bytes, framed as server-sent events without being parsed."""

import asyncio
from collections.abc import AsyncGenerator, Mapping

import structlog
from opentelemetry import trace
from sse_starlette import EventSourceResponse, ServerSentEvent
from sse_starlette.sse import SendTimeoutError
from starlette.types import Receive, Scope, Send

from api import metrics
from api.security.live import OpenStreams
from contracts.generation import frame, is_terminal, name_of
from contracts.ports.streams import LogEvent

log = structlog.get_logger()

RETRY = b"retry: 500\n\n"
"""Milliseconds after which a client comes back when this edge ends the stream before the generation did."""

Batches = AsyncGenerator[tuple[LogEvent, ...], None]


def event_stream(
    batches: Batches, streams: OpenStreams, credential_id: str, headers: Mapping[str, str] | None = None
) -> EventSourceResponse:
    """The answer that writes these batches, each in one piece."""
    return _EventStream(
        _frames(batches, streams, credential_id),
        headers=headers,
        ping=streams.alive_every,
        sep="\n",
        ping_message_factory=_alive,
        send_timeout=streams.unread_for,
    )


class _EventStream(EventSourceResponse):
    """One that lets go of a client which does not read: that is its end, and no error of ours."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        except SendTimeoutError:
            log.info("slow_client_cut", after_s=self.send_timeout)


def _alive() -> ServerSentEvent:
    return ServerSentEvent(comment="alive", sep="\n")


async def _frames(batches: Batches, streams: OpenStreams, credential_id: str) -> AsyncGenerator[bytes, None]:
    with streams.opened(credential_id) as stream, metrics.FOLLOWERS.track_inprogress():
        stream.began()
        try:
            async for events in batches:
                metrics.EVENTS.inc(len(events))
                yield b"".join(frame(one.id, one.encoded) for one in events)
                if is_terminal(events[-1].encoded):
                    trace.get_current_span().add_event(name_of(events[-1].encoded))
                    return
                if stream.ended:  # asyncio.wait_for may lose an interruption that comes together with what it waits for
                    interruption_is_over()
                    yield RETRY
                    return
        except asyncio.CancelledError:
            if not stream.ended:
                raise
            interruption_is_over()
            yield RETRY
        finally:
            await batches.aclose()


def interruption_is_over() -> None:
    """This edge ended the stream, not its client: what follows may be waited for again."""
    task = asyncio.current_task()
    if task is not None:
        task.uncancel()
