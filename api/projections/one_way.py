"""Replies for formats that cannot take back what they said and cannot be resumed: read to their end, or not at all.

Where such a reply would need more than its format has (`restarted` after text, a failure, a cancel), it ends as NotAnswered, which
each format tells in its own way.
"""

from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass, field

from api.errors import NotAnswered
from contracts.generation import (
    Cancelled,
    Completed,
    Failed,
    GenerationEvent,
    Restarted,
    Thinking,
    Token,
    ToolCall,
    decode,
)
from contracts.ports.streams import LogEvent

Batches = AsyncGenerator[tuple[LogEvent, ...], None]
Said = Thinking | Token | ToolCall


@dataclass
class Whole:
    """A reply that came to its end."""

    end: Completed
    text: str = ""
    thinking: str = ""
    calls: list[ToolCall] = field(default_factory=list[ToolCall])


async def one_way(batches: Batches) -> AsyncGenerator[list[GenerationEvent], None]:
    """The events in batches, `completed` last, and no `restarted`: what began again before anything was told is as if it had not been.

    Raises NotAnswered.
    """
    said = False
    async for batch in batches:
        events = [decode(one.encoded) for one in batch]
        restarts = [at for at, one in enumerate(events) if isinstance(one, Restarted)]
        if restarts and said:
            sentence = "The server that wrote this answer was lost and it began anew, which this format cannot tell."
            raise NotAnswered("restarted", f"{sentence} Ask again.", retryable=True)
        events = events[restarts[-1] + 1 :] if restarts else events
        said = said or any(isinstance(one, Said) for one in events)
        *before, last = events or [None]
        if isinstance(last, Failed | Cancelled):
            if before:
                yield [one for one in before if one is not None]
            raise not_answered(last)
        if events:
            yield events


def not_answered(end: Failed | Cancelled) -> NotAnswered:
    """Why a reply is none."""
    if isinstance(end, Failed):
        return NotAnswered(end.code, end.message, retryable=end.retryable)
    return NotAnswered("cancelled", "This answer was cancelled.", retryable=False)


async def whole(batches: Batches) -> Whole:
    """The reply at its end, whatever it went through. Raises NotAnswered."""
    said: list[Said] = []
    async for batch in batches:
        for event in (decode(one.encoded) for one in batch):
            if isinstance(event, Restarted):
                said.clear()
            elif isinstance(event, Said):
                said.append(event)
            elif isinstance(event, Failed | Cancelled):
                raise not_answered(event)
            elif isinstance(event, Completed):
                return _joined(said, event)
    raise NotAnswered("internal", "The answer ended without its end.", retryable=True)


def _joined(said: Sequence[Said], end: Completed) -> Whole:
    return Whole(
        end,
        text="".join(one.text for one in said if isinstance(one, Token)),
        thinking="".join(one.text for one in said if isinstance(one, Thinking)),
        calls=[one for one in said if isinstance(one, ToolCall)],
    )
