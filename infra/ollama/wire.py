"""Ollama's native protocol: what is sent, and the shapes of what comes back."""

from base64 import b64encode
from collections.abc import Mapping

import msgspec

from contracts.commands import SamplingOptions, Turn
from contracts.errors import BackendFailed
from contracts.generation import ToolCallData, Usage
from contracts.ids import new_id
from contracts.options import UNABLE, asked_for
from contracts.ports.backend import CallTool, ChatRequest, Done, EmbedRequest, Piece, Text, ThinkingText
from infra.backends.turns import with_calls


class Function(msgspec.Struct):
    """What is called."""

    name: str
    arguments: dict[str, object] = {}


class ToolCall(msgspec.Struct):
    """One call; always whole."""

    function: Function


class Message(msgspec.Struct):
    """A piece of the reply."""

    content: str = ""
    thinking: str = ""
    tool_calls: list[ToolCall] | None = None


class Line(msgspec.Struct):
    """One line of `/api/chat`. Durations in nanoseconds."""

    message: Message | None = None
    done: bool = False
    done_reason: str | None = None
    error: str | None = None
    prompt_eval_count: int = 0
    eval_count: int = 0
    load_duration: int = 0
    prompt_eval_duration: int | None = None
    eval_duration: int | None = None


class Embedded(msgspec.Struct):
    """The answer of `/api/embed`. Durations in nanoseconds."""

    embeddings: list[list[float]]
    prompt_eval_count: int = 0
    load_duration: int = 0


def embed_body(request: EmbedRequest, context: int) -> dict[str, object]:
    """`/api/embed`. `context`: tokens, as chats ask for it, so that no call makes Ollama load the model anew."""
    own = {} if request.dimensions is None else {"dimensions": request.dimensions}
    options = {"num_ctx": context}
    return {"model": request.model, "input": request.texts, "truncate": request.truncate, "options": options, **own}


def body(
    request: ChatRequest, context: int, stops: tuple[str, ...], said: str = "", *, levels: bool = False
) -> dict[str, object]:
    """`/api/chat`. `context`: tokens; `stops`: the model's own stop strings, which ours would otherwise replace; `levels`: whether it
    can be told how much to think.

    said: the beginning of the reply. The model goes on from it where its template leaves the last turn open.
    """
    turns = [_turn(turn, call, request.images) for turn, call in with_calls(request.context)]
    sent: dict[str, object] = {
        "model": request.model,
        "messages": [*turns, {"role": "assistant", "content": said}] if said else turns,
        "options": _options(request.options, context, stops),
        "stream": True,
        "truncate": False,  # from 0.12.6: an error instead of a context that was cut silently
    }
    asked = {
        "think": _think(request, levels=levels),
        "format": request.format,
        "tools": request.tools or None,
        "keep_alive": request.keep_alive,
    }
    return sent | {name: value for name, value in asked.items() if value is not None}


def _think(request: ChatRequest, *, levels: bool) -> bool | str | None:
    """Models that are told how much know three levels; the others refuse a level."""
    if request.effort is None or request.think is False or not levels:
        return request.think
    return {"minimal": "low", "low": "low", "medium": "medium"}.get(request.effort, "high")


def _turn(turn: Turn, answered: ToolCallData | None, images: Mapping[str, bytes]) -> dict[str, object]:
    said: dict[str, object] = {"role": turn.role, "content": turn.content}
    if turn.images:
        said["images"] = [b64encode(images[one.id]).decode() for one in turn.images]
    if turn.tool_calls:
        said["tool_calls"] = [{"function": {"name": one.name, "arguments": one.arguments}} for one in turn.tool_calls]
    if answered is not None:
        said["tool_name"] = answered.name
    return said


def _options(options: SamplingOptions, context: int, stops: tuple[str, ...]) -> dict[str, object]:
    named = {
        "temperature": options.temperature,
        "top_p": options.top_p,
        "top_k": options.top_k,
        "seed": options.seed,
        "num_predict": options.max_tokens,
        "stop": list(dict.fromkeys((*options.stop, *stops))) if options.stop else None,
        "presence_penalty": options.presence_penalty,
        "frequency_penalty": options.frequency_penalty,
        "min_p": options.min_p,
        "typical_p": options.typical_p,
        "repeat_penalty": options.repeat_penalty,
        "repeat_last_n": options.repeat_last_n,
        "num_keep": options.num_keep,
        "num_ctx": context,
    }
    return {name: value for name, value in named.items() if value is not None}


def pieces(said: Line) -> list[Piece]:
    """What one line brings, without its end."""
    message = said.message
    if message is None:
        return []
    found: list[Piece] = []
    if message.thinking:
        found.append(ThinkingText(message.thinking))
    if message.content:
        found.append(Text(message.content))
    for call in message.tool_calls or ():
        found.append(CallTool(ToolCallData(id=new_id(), name=call.function.name, arguments=call.function.arguments)))
    return found


def end(said: Line, *, called: bool) -> Done:
    """What the last line tells."""
    reason = "tool_calls" if called else "length" if said.done_reason == "length" else "stop"
    usage = Usage(input_tokens=said.prompt_eval_count, output_tokens=said.eval_count)
    load_ms = said.load_duration // 1_000_000
    return Done(reason, usage, load_ms, _ms(said.prompt_eval_duration), _ms(said.eval_duration))


def _ms(nanoseconds: int | None) -> float | None:
    return None if nanoseconds is None else nanoseconds / 1_000_000


def refuse_unable(request: ChatRequest, server: str) -> None:
    """Raises BackendFailed (option_unsupported) for the first option that Ollama would let pass without doing it."""
    for name in asked_for(request.options, request.tools, request.tool_choice, request.parallel_tool_calls):
        if name in UNABLE["ollama"]:
            sentence = f"{name} is not supported by {server}, an Ollama, which serves this model: leave it out."
            raise BackendFailed("option_unsupported", sentence, retryable=False)
