"""A recorded reply as the end of a stream whose log is gone."""

from contracts.generation import (
    Accepted,
    Cancelled,
    Completed,
    Failed,
    GenerationEvent,
    Restarted,
    TerminalEvent,
    Timings,
    ToolCall,
    Usage,
    encode,
    encode_text,
)
from contracts.ports.streams import LogEvent
from contracts.records import Message


def recorded_events(message: Message, after: str | None) -> tuple[LogEvent, ...]:
    """What a follower gets of it.

    From the start: `accepted`, the whole text and the terminal event under the recorded last id, the rest without ids. After
    that last id: the terminal event alone. After any other id: `restarted`, the text, the terminal event.
    """
    end = LogEvent(message.last_event_id, encode(terminal_event_of(message)))
    if after is not None and after == message.last_event_id:
        return (end,)
    first: GenerationEvent = (
        _accepted(message) if after is None else Restarted(attempt=max(1, message.attempt or 1), reason="log_lost")
    )
    encoded = [encode(first)]
    if message.thinking:
        encoded.append(encode_text("thinking", message.thinking))
    if message.content:
        encoded.append(encode_text("token", message.content))
    encoded += [encode(ToolCall.model_validate(one.model_dump())) for one in message.tool_calls]
    return (*(LogEvent(None, one) for one in encoded), end)


def terminal_event_of(message: Message) -> TerminalEvent:
    """The event that ended the stream of this reply."""
    usage = message.usage or Usage()
    if message.status == "cancelled":
        return Cancelled(usage=usage)
    if message.status == "failed":
        error = message.error
        return Failed(
            code=error.code if error else "internal",
            message=error.message if error else "The reply failed.",
            retryable=error.retryable if error else True,
        )
    return Completed(finish_reason=message.finish_reason or "stop", usage=usage, timings=message.timings or Timings())


def _accepted(message: Message) -> Accepted:
    return Accepted(
        generation_id=message.generation_id or "",
        chat_id=message.chat_id,
        message_id=message.parent_id or "",
        reply_id=message.id,
        model=message.model or "",
    )
