"""Tool calls arrive in pieces: the name first, then the arguments a few characters at a time."""

from collections.abc import Sequence

import msgspec

from contracts.generation import ToolCallData
from contracts.ids import new_id
from contracts.ports.backend import CallTool
from infra.backends.lines import garbage

LARGEST_ARGUMENTS = 256 * 1024


class FunctionDelta(msgspec.Struct):
    """A piece of a call's name and arguments."""

    name: str | None = None
    arguments: str | None = None


class CallDelta(msgspec.Struct):
    """A piece of the call number `index`."""

    index: int = 0
    id: str | None = None
    function: FunctionDelta | None = None


class ToolCalls:
    """Collects the pieces of one answer."""

    def __init__(self) -> None:
        self._calls: dict[int, tuple[str, str, str]] = {}

    def add(self, deltas: Sequence[CallDelta] | None) -> None:
        """Take the pieces of one chunk."""
        for delta in deltas or ():
            known, name, arguments = self._calls.get(delta.index, (delta.id or new_id(), "", ""))
            function = delta.function or FunctionDelta()
            more = (arguments + (function.arguments or ""))[: LARGEST_ARGUMENTS + 1]
            self._calls[delta.index] = (known, name + (function.name or ""), more)

    def whole(self, server: str) -> list[CallTool]:
        """The calls. BackendFailed (backend_garbage) when arguments are no JSON object, or longer than 256 KiB."""
        found: list[CallTool] = []
        for call_id, name, arguments in self._calls.values():
            try:
                parsed = msgspec.json.decode(arguments or "{}", type=dict[str, object])
            except msgspec.DecodeError as error:
                raise garbage(server) from error
            found.append(CallTool(ToolCallData(id=call_id, name=name, arguments=parsed)))
        return found
