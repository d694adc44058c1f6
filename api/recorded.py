"""A recorded reply as the end of a stream whose log is gone."""

from contracts.events import accepted, terminal_event
from contracts.generation import GenerationEvent, Restarted, ToolCall, encode, encode_text
from contracts.ports.streams import LogEvent
from contracts.recording import outcome_of, question_of
from contracts.records import Message


def recorded_events(message: Message, after: str | None) -> tuple[LogEvent, ...]:
    """What a follower gets of it.

    From the start: `accepted`, the whole text and the terminal event under the recorded last id, the rest without ids. After
    that last id: the terminal event alone. After any other id: `restarted`, the text, the terminal event.
    """
    end = LogEvent(message.last_event_id, encode(terminal_event(outcome_of(message))))
    if after is not None and after == message.last_event_id:
        return (end,)
    first: GenerationEvent = (
        accepted(question_of(message))
        if after is None
        else Restarted(attempt=max(1, message.attempt or 1), reason="log_lost")
    )
    encoded = [encode(first)]
    if message.thinking:
        encoded.append(encode_text("thinking", message.thinking))
    if message.content:
        encoded.append(encode_text("token", message.content))
    encoded += [encode(ToolCall.model_validate(one.model_dump())) for one in message.tool_calls]
    return (*(LogEvent(None, one) for one in encoded), end)
