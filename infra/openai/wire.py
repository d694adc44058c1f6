"""OpenAI's chat completions: what is sent, and the shapes of what comes back, with the dialects of those who speak it."""

import re
from base64 import b64encode
from collections.abc import Mapping

import msgspec

from contracts.commands import Turn
from contracts.generation import ToolCallData
from contracts.ports.backend import ChatRequest, Piece, Text, ThinkingText
from infra.backends.turns import with_calls
from infra.openai.speech import ANY, Speech, sampling, thinking, tools
from infra.openai.tool_calls import CallDelta

REASONS = {"stop": "stop", "length": "length", "tool_calls": "tool_calls", "function_call": "tool_calls"}
_LLAMA_CPP = re.compile(r"b\d+-")
"""How llama.cpp's `system_fingerprint` begins: its build."""


class Delta(msgspec.Struct):
    """A piece of the reply. Thinking: `reasoning_content` (llama.cpp, DeepSeek), `reasoning` (vLLM, OpenRouter, Ollama)."""

    content: str | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None
    tool_calls: list[CallDelta] | None = None


class Choice(msgspec.Struct):
    """The one choice that was asked for."""

    delta: Delta | None = None
    finish_reason: str | None = None


class Counted(msgspec.Struct):
    """Tokens as the server counted them."""

    prompt_tokens: int = 0
    completion_tokens: int = 0


class Took(msgspec.Struct):
    """Milliseconds of llama.cpp's: reading what was not in its cache, and writing."""

    prompt_ms: float | None = None
    predicted_ms: float | None = None


class Chunk(msgspec.Struct):
    """One event of the stream. Errors in mid-stream: an `error`, or (older vLLM) `object` is "error"."""

    choices: list[Choice] = []
    usage: Counted | None = None
    timings: Took | None = None
    model: str | None = None
    system_fingerprint: str | None = None
    error: object = None
    object: str | None = None

    @property
    def failed(self) -> bool:
        """Whether it is no chunk but an error."""
        return self.error is not None or self.object == "error"

    def answers(self, model: str) -> bool:
        """Whether it is that model which speaks. llama.cpp answers whatever name it is asked for with the one model it has."""
        if self.model is None or not _LLAMA_CPP.match(self.system_fingerprint or ""):
            return True
        return self.model.removesuffix(":latest") == model.removesuffix(":latest")


def body(request: ChatRequest, said: str = "", speech: Speech = ANY, context: int | None = None) -> dict[str, object]:
    """`/v1/chat/completions`. `said`: the beginning of the reply, from which the model is to go on. `context`: tokens, where told."""
    turns = [_turn(turn, call, request.images) for turn, call in with_calls(request.context)]
    sent: dict[str, object] = {
        "model": request.model,
        "messages": turns,
        "stream": True,
        "stream_options": {"include_usage": True},
        **sampling(request.options, speech, context),
        **tools(request, speech),
        **thinking(request, speech),
    }
    if request.format == "json":
        sent["response_format"] = {"type": "json_object"}
    elif request.format is not None:
        sent["response_format"] = {"type": "json_schema", "json_schema": {"name": "reply", "schema": request.format}}
    if said:
        sent["messages"] = [*turns, {"role": "assistant", "content": said}]
        # vLLM needs both. llama.cpp goes on from a last turn of the assistant's by itself; a new one refuses the first without the second.
        sent |= {"continue_final_message": True, "add_generation_prompt": False}
    return sent


def _turn(turn: Turn, answered: ToolCallData | None, images: Mapping[str, bytes]) -> dict[str, object]:
    said: dict[str, object] = {"role": turn.role, "content": _content(turn, images)}
    if turn.tool_calls:
        said["tool_calls"] = [_call(one) for one in turn.tool_calls]
    if answered is not None:
        said["tool_call_id"] = answered.id
    return said


def _content(turn: Turn, images: Mapping[str, bytes]) -> object:
    """Text; in parts where images are beside it, the images first, as models were trained to read them."""
    if not turn.images:
        return turn.content
    shown = [
        {
            "type": "image_url",
            "image_url": {"url": f"data:{one.media_type};base64,{b64encode(images[one.id]).decode()}"},
        }
        for one in turn.images
    ]
    return [*shown, {"type": "text", "text": turn.content}] if turn.content else shown


def _call(call: ToolCallData) -> dict[str, object]:
    function = {"name": call.name, "arguments": msgspec.json.encode(call.arguments).decode()}
    return {"id": call.id, "type": "function", "function": function}


def pieces(delta: Delta | None) -> list[Piece]:
    """What one delta brings; tool calls are collected elsewhere."""
    if delta is None:
        return []
    thinking = delta.reasoning_content or delta.reasoning
    found: list[Piece] = [ThinkingText(thinking)] if thinking else []
    if delta.content:
        found.append(Text(delta.content))
    return found
