"""What servers of OpenAI's protocol take beyond it, and under which names. Who they are, their lists of models tell: `owned_by`.

An option that a server is known not to know is refused here, for it would answer as if nobody had asked for it.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from contracts.commands import Effort, NamedTool, SamplingOptions
from contracts.errors import BackendFailed
from contracts.options import asked_for
from contracts.ports.backend import ChatRequest

EVERYWHERE = {
    "temperature", "top_p", "seed", "max_tokens", "stop", "presence_penalty", "frequency_penalty", "tool_choice", "parallel_tool_calls",
}  # fmt: skip
"""OpenAI's own."""
_NEAREST: Mapping[Effort, str] = {"minimal": "low", "xhigh": "high", "max": "high"}
"""Of the three that models with levels were trained on."""

WIDE = 8192
"""Tokens of a context that is not told."""


@dataclass(frozen=True)
class Speech:
    """How one software speaks. `options`: our name → its names. `refuses`: what of OpenAI's own it lets pass without doing it.

    limit: what it calls the most tokens. template: whether it hands `chat_template_kwargs` to the model's template. levels:
    whether it takes `reasoning_effort`. names_tools: whether one tool can be demanded by its name.
    """

    options: Mapping[str, tuple[str, ...]]
    refuses: frozenset[str] = frozenset()
    limit: str = "max_tokens"
    template: bool = True
    levels: bool = True
    names_tools: bool = True


_SHARED = {"top_k": ("top_k",), "min_p": ("min_p",), "logit_bias": ("logit_bias",)}
_SAME = ("typical_p", "repeat_penalty", "repeat_last_n", "mirostat", "mirostat_tau", "mirostat_eta")
LLAMA_CPP = Speech(
    {**_SHARED, **{name: (name,) for name in _SAME}, "num_keep": ("n_keep",)}, levels=False, names_tools=False
)
VLLM = Speech({**_SHARED, "repeat_penalty": ("repetition_penalty",)})
OPENAI = Speech({"logit_bias": ("logit_bias",)}, limit="max_completion_tokens", template=False)
OLLAMA = Speech({}, refuses=frozenset({"tool_choice", "parallel_tool_calls"}), template=False)
ANY = Speech({**_SHARED, "repeat_penalty": ("repeat_penalty", "repetition_penalty")})
"""Who does not say who it is. A cloud refuses by itself what it does not know."""
OWNERS: Mapping[str, Speech] = {
    "llamacpp": LLAMA_CPP,
    "vllm": VLLM,
    "sglang": VLLM,
    "openai": OPENAI,
    "openai-internal": OPENAI,
    "openai-dev": OPENAI,
    "system": OPENAI,
    "library": OLLAMA,
}


def speech_of(owner: str | None) -> Speech:
    """Of whoever calls itself so."""
    return OWNERS.get(owner or "", ANY)


def beyond(request: ChatRequest) -> bool:
    """Whether it asks for what not every server does in the same way."""
    asked = {*_asked(request)} - (EVERYWHERE - {"tool_choice", "parallel_tool_calls"})
    return bool(asked) or bool(request.tools) or request.think is not None or request.effort is not None


def refuse_unknown(request: ChatRequest, speech: Speech, server: str) -> None:
    """Raises BackendFailed (option_unsupported) for the first option that this server would let pass without doing it."""
    for name in _asked(request):
        if name in speech.refuses or (name not in EVERYWHERE and name not in speech.options):
            raise unsupported(name, server)


def unsupported(name: str, server: str) -> BackendFailed:
    """It would answer as if that had not been asked for."""
    sentence = f"{name} is not supported by {server}, which serves this model: leave it out."
    return BackendFailed("option_unsupported", sentence, retryable=False)


def _asked(request: ChatRequest) -> Iterator[str]:
    return asked_for(request.options, request.tools, request.tool_choice, request.parallel_tool_calls)


def sampling(options: SamplingOptions, speech: Speech, context: int | None) -> dict[str, object]:
    """The options under this server's names. `context`: the model's, in tokens."""
    last_n = (context or WIDE) if options.repeat_last_n == -1 else options.repeat_last_n  # llama.cpp counts from 0
    named: dict[str, object] = {
        "temperature": options.temperature,
        "top_p": options.top_p,
        "seed": options.seed,
        speech.limit: options.max_tokens,
        "stop": options.stop or None,
        "presence_penalty": options.presence_penalty,
        "frequency_penalty": options.frequency_penalty,
    }
    for name, theirs in speech.options.items():
        named |= dict.fromkeys(theirs, last_n if name == "repeat_last_n" else getattr(options, name))
    return {name: value for name, value in named.items() if value is not None}


def thinking(request: ChatRequest, speech: Speech) -> dict[str, object]:
    """Whether and how much to think."""
    effort = request.effort and _NEAREST.get(request.effort, request.effort)
    sent: dict[str, object] = {}
    if speech.template:
        wanted = {"enable_thinking": request.think, "reasoning_effort": effort}
        if told := {name: value for name, value in wanted.items() if value is not None}:
            sent["chat_template_kwargs"] = told
    elif request.think is False:
        effort = "none"
    if speech is OPENAI and request.effort:
        effort = "xhigh" if request.effort == "max" else request.effort
    if speech.levels and effort:
        sent["reasoning_effort"] = effort
    return sent


def tools(request: ChatRequest, speech: Speech) -> dict[str, object]:
    """The tools, and which of them must be called. Where none can be named, it is offered alone."""
    if not request.tools:
        return {}
    choice, offered = request.tool_choice, request.tools
    if isinstance(choice, NamedTool) and not speech.names_tools:
        offered = tuple(one for one in offered if _name(one) == choice.name)
        wanted: object = "required"
    else:
        wanted = {"type": "function", "function": {"name": choice.name}} if isinstance(choice, NamedTool) else choice
    sent = {"tools": offered, "tool_choice": wanted, "parallel_tool_calls": request.parallel_tool_calls}
    return {name: value for name, value in sent.items() if value is not None}


def _name(tool: Mapping[str, object]) -> object:
    function = tool.get("function")
    return function.get("name") if isinstance(function, dict) else None
