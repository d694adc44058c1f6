"""Which call a tool's turn answers: turns carry no id of it, servers want one."""

from collections.abc import Iterator, Sequence

from contracts.commands import Turn
from contracts.generation import ToolCallData


def with_calls(context: Sequence[Turn]) -> Iterator[tuple[Turn, ToolCallData | None]]:
    """Each turn, the tools' ones with the call they answer: in the order in which the turn before them made the calls."""
    open_calls: list[ToolCallData] = []
    for turn in context:
        if turn.role == "tool":
            yield turn, open_calls.pop(0) if open_calls else None
        else:
            open_calls = list(turn.tool_calls)
            yield turn, None
