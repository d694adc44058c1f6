"""What kinds of back-ends can do nothing about. It is refused by name: the answer would not be the one that was asked for."""

from collections.abc import Iterator, Mapping

from contracts.commands import NamedTool, SamplingOptions
from contracts.records import BackendKind

_OLLAMA = frozenset({"logit_bias", "mirostat", "mirostat_tau", "mirostat_eta", "tool_choice", "parallel_tool_calls"})
# of 0.9.6 and later: mirostat went with 0.6, and it says nothing but a line in its log about options that it does not know
UNABLE: Mapping[BackendKind, frozenset[str]] = {"ollama": _OLLAMA, "fake": _OLLAMA, "openai": frozenset()}
"""By kind. What servers of OpenAI's protocol can do differs; their adapter finds it out."""


def asked_for(
    options: SamplingOptions,
    tools: tuple[dict[str, object], ...] = (),
    tool_choice: str | NamedTool | None = None,
    parallel_tool_calls: bool | None = None,
) -> Iterator[str]:
    """The names of what is asked for in so many words, and is not what is done anyway."""
    idle = _idle(options)
    yield from (name for name in type(options).model_fields if name not in idle)
    if tools and tool_choice is not None:
        yield "tool_choice"
    if tools and parallel_tool_calls is False:
        yield "parallel_tool_calls"


def _idle(options: SamplingOptions) -> set[str]:
    """What changes nothing at a server that does not know it: no value, no effect, and what mirostat alone would read."""
    idle = {name for name in type(options).model_fields if getattr(options, name) in (None, (), {})}
    if options.mirostat in (None, 0):
        idle |= {"mirostat", "mirostat_tau", "mirostat_eta"}
    neutral = {"typical_p": 1, "repeat_penalty": 1, "min_p": 0}
    return idle | {name for name, value in neutral.items() if getattr(options, name) == value}
