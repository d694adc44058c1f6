"""Tool calls arrive in pieces: the name first, then the arguments a few characters at a time."""

from collections.abc import Sequence
from dataclasses import dataclass

import msgspec

from contracts.generation import ToolCallData
from contracts.ids import new_id
from contracts.ports.backend import CallTool
from infra.backends.refusals import garbage

LARGEST_ARGUMENTS = 256 * 1024
MOST_CALLS = 128
"""As many as OpenAI takes tools."""


class FunctionDelta(msgspec.Struct):
    """A piece of a call's name and arguments."""

    name: str | None = None
    arguments: str | None = None


class CallDelta(msgspec.Struct):
    """A piece of the call number `index`."""

    index: int = 0
    id: str | None = None
    function: FunctionDelta | None = None


@dataclass
class _Call:
    id: str | None
    name: str = ""
    arguments: str = ""


class ToolCalls:
    """Collects the pieces of one answer."""

    def __init__(self) -> None:
        self._calls: list[_Call] = []
        self._by_index: dict[int, _Call] = {}

    @property
    def any(self) -> bool:
        """Whether a call was begun."""
        return bool(self._calls)

    def add(self, deltas: Sequence[CallDelta], server: str) -> None:
        """Take the pieces of one chunk. BackendFailed (backend_garbage) when it gets too many calls, or one longer than 256 KiB."""
        for delta in deltas:
            call = self._call(delta)
            function = delta.function or FunctionDelta()
            call.name += function.name or ""
            call.arguments += function.arguments or ""
            if len(call.arguments) > LARGEST_ARGUMENTS or len(self._calls) > MOST_CALLS:
                raise garbage(server)

    def _call(self, delta: CallDelta) -> _Call:
        """The call that a piece belongs to: the one of its index, unless another id says that a new one begins there."""
        known = self._by_index.get(delta.index)
        if known is None or (delta.id and known.id and delta.id != known.id):
            known = self._by_index[delta.index] = _Call(delta.id)
            self._calls.append(known)
        return known

    def whole(self, server: str, *, cut_short: bool = False) -> list[CallTool]:
        """The calls. BackendFailed (backend_garbage) when arguments are no JSON object; where the answer was `cut_short` by its
        limit, such a call is left out: the model was not done with it."""
        found: list[CallTool] = []
        for call in self._calls:
            try:
                parsed = msgspec.json.decode(call.arguments or "{}", type=dict[str, object])
            except msgspec.DecodeError as error:
                if cut_short:
                    continue
                raise garbage(server) from error
            found.append(CallTool(ToolCallData(id=call.id or new_id(), name=call.name, arguments=parsed)))
        return found
