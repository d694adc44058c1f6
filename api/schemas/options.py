"""Options that more than one door takes, and what they mean."""

import re
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal, cast

from pydantic import BaseModel, Field, StringConstraints

from api.errors import Unsupported
from contracts.commands import Effort, NamedTool

KEPT_AT_LEAST, KEPT_AT_MOST = 300, 3600
"""Seconds. Less than Ollama's own five minutes would take the model from everybody else; more than an hour is the administrators'."""
_UNITS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "μs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
_PART = r"(\d+\.?\d*|\.\d+)(ns|us|µs|μs|ms|s|m|h)"
_DURATION = re.compile(rf"([+-]?)((?:{_PART})+|0)", re.ASCII)
"""As Go writes them."""

KeepAlive = Annotated[float, Field(allow_inf_nan=False)] | Annotated[str, Field(max_length=100)]
Penalty = Annotated[float, Field(ge=-2, le=2)]
RepeatPenalty = Annotated[float, Field(gt=0, le=2)]
Tokens = Annotated[int, Field(ge=-1, lt=2**31)]
LogitBias = Annotated[
    dict[Annotated[str, StringConstraints(pattern=r"^[0-9]{1,9}$")], Annotated[float, Field(ge=-100, le=100)]],
    Field(max_length=300),
]


class Beyond(BaseModel):
    """What servers of open models take beyond OpenAI's own parameters."""

    min_p: float | None = Field(default=None, ge=0, le=1)
    typical_p: float | None = Field(default=None, ge=0, le=1)
    repeat_penalty: RepeatPenalty | None = None
    repeat_last_n: Tokens | None = Field(default=None, description="-1: all of the context.")
    mirostat: Literal[0, 1, 2] | None = None
    mirostat_tau: float | None = Field(default=None, ge=0, le=100)
    mirostat_eta: float | None = Field(default=None, ge=0, le=1)
    num_keep: Tokens | None = Field(default=None, description="-1: all of the question.")

    def beyond(self) -> dict[str, Any]:
        """By the platform's own names."""
        return {name: getattr(self, name) for name in Beyond.model_fields}


def kept(keep_alive: float | str | None) -> int | None:
    """Seconds that the model is to stay in memory, between five minutes and an hour. Negative: as long as may be.

    Raises Unsupported for none at all, which would unload everybody's model, and for what is no duration.
    """
    seconds = _seconds(keep_alive) if isinstance(keep_alive, str) else keep_alive
    if seconds is None:
        return None
    if seconds == 0:
        raise Unsupported("keep_alive", "When a model is unloaded is this platform's decision: leave keep_alive out.")
    return KEPT_AT_MOST if seconds < 0 else round(min(max(seconds, KEPT_AT_LEAST), KEPT_AT_MOST))


def _seconds(text: str) -> float:
    found = _DURATION.fullmatch(text)
    if found is None:
        raise Unsupported("keep_alive", "keep_alive is no duration: write it like 10m or 1h30m, or as seconds.")
    size = sum(float(count) * _UNITS[unit] for count, unit in re.findall(_PART, found[2], re.ASCII))
    return -size if found[1] == "-" else size


def must_call(choice: object, tools: Sequence[Mapping[str, Any]]) -> Literal["required"] | NamedTool | None:
    """What `tool_choice` demands: any of the tools, or the one that it names, in either of OpenAI's ways. Raises Unsupported."""
    if choice in (None, "auto", "none"):
        return None
    if not tools:
        raise Unsupported("tool_choice", "tool_choice asks for a tool, and there are none.")
    if choice == "required":
        return "required"
    named = cast(dict[str, Any], choice) if isinstance(choice, dict) else {}
    function = cast(dict[str, Any], named.get("function") if isinstance(named.get("function"), dict) else named)
    name = function.get("name")
    if named.get("type") != "function" or name not in [one["function"].get("name") for one in tools]:
        raise Unsupported(
            "tool_choice", "tool_choice is none of auto, none, required and the name of one of the tools."
        )
    return NamedTool(name=str(name))


def thinking(level: bool | Effort | Literal["none"] | None) -> tuple[bool | None, Effort | None]:
    """Whether to think, and how much."""
    if level is None or isinstance(level, bool):
        return level, None
    return (False, None) if level == "none" else (True, level)
