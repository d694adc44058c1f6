"""What a log shows to whoever reads all of it: the text, the thinking and the calls that are not void."""

from collections.abc import Iterable
from dataclasses import dataclass

from contracts.events import Outcome
from contracts.generation import (
    Restarted,
    Thinking,
    Token,
    ToolCall,
    ToolCallData,
    decode,
    encode,
    encode_text,
    name_of,
)

_SHOWN = ("token", "thinking", "tool_call")


@dataclass(frozen=True)
class Shown:
    """A reply as far as followers see it."""

    text: str = ""
    thinking: str = ""
    tool_calls: tuple[ToolCallData, ...] = ()


def shown(events: Iterable[bytes]) -> Shown:
    """What these encoded events, in their order, leave on the screen: everything since the last `restarted`."""
    valid: list[bytes] = []
    for encoded in events:
        name = name_of(encoded)
        if name == "restarted":
            valid.clear()
        elif name in _SHOWN:
            valid.append(encoded)
    pieces = [decode(one) for one in valid]
    return Shown(
        text="".join(one.text for one in pieces if isinstance(one, Token)),
        thinking="".join(one.text for one in pieces if isinstance(one, Thinking)),
        tool_calls=tuple(
            ToolCallData(id=one.id, name=one.name, arguments=one.arguments)
            for one in pieces
            if isinstance(one, ToolCall)
        ),
    )


def mending(now: Shown, outcome: Outcome) -> list[bytes]:
    """The encoded events that put the recorded reply in the place of what the log shows; none where it is the same."""
    if now == Shown(outcome.text, outcome.thinking, outcome.tool_calls):
        return []
    events: list[bytes] = []
    if now != Shown():
        events.append(encode(Restarted(attempt=max(1, outcome.attempt), reason="worker_lost")))
    if outcome.thinking:
        events.append(encode_text("thinking", outcome.thinking))
    if outcome.text:
        events.append(encode_text("token", outcome.text))
    return events + [encode(ToolCall.model_validate(call.model_dump())) for call in outcome.tool_calls]
