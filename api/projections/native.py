"""The platform's own wire format: the log's bytes, framed as server-sent events without being parsed."""

import asyncio
from collections.abc import AsyncGenerator, Mapping

from opentelemetry import trace
from sse_starlette import EventSourceResponse, ServerSentEvent

from api import metrics
from api.security.live import OpenStream, OpenStreams
from contracts.generation import frame, is_terminal, name_of
from contracts.ports.streams import LogEvent

PING = 15
"""Seconds between comments that keep a silent line open."""
SEND_TIMEOUT = 60.0
"""Seconds that a client may leave one write unread before it is cut off; it can resume."""
RETRY = b"retry: 500\n\n"
"""Milliseconds after which a client comes back when this edge ends the stream before the generation did."""

Batches = AsyncGenerator[tuple[LogEvent, ...], None]


def event_stream(
    batches: Batches, streams: OpenStreams, session_id: str, headers: Mapping[str, str] | None = None
) -> EventSourceResponse:
    """The answer that writes these batches, each in one piece."""
    return EventSourceResponse(
        _frames(batches, streams, session_id),
        headers=headers,
        ping=PING,
        sep="\n",
        ping_message_factory=_alive,
        send_timeout=SEND_TIMEOUT,
    )


def _alive() -> ServerSentEvent:
    return ServerSentEvent(comment="alive", sep="\n")


async def _frames(batches: Batches, streams: OpenStreams, session_id: str) -> AsyncGenerator[bytes, None]:
    with streams.opened(session_id) as stream, metrics.FOLLOWERS.track_inprogress():
        stream.began()
        try:
            async for events in batches:
                metrics.EVENTS.inc(len(events))
                if is_terminal(events[-1].encoded):
                    trace.get_current_span().add_event(name_of(events[-1].encoded))
                yield b"".join(frame(one.id, one.encoded) for one in events)
        except asyncio.CancelledError:
            if not _ended_here(stream):
                raise
            yield RETRY
        finally:
            await batches.aclose()


def _ended_here(stream: OpenStream) -> bool:
    """Whether this edge ended the stream, and not its client; the interruption is over then."""
    task = asyncio.current_task()
    if not stream.ended or task is None:
        return False
    task.uncancel()
    return True
