"""OpenAI's chat completions, as its clients read them: whole, or in chunks.

Their parsers stumble over what SSE allows: so no ids, no names, no `retry:`, and a comment stands right before the event that
follows it, never before a blank line.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from api.errors import Problem
from api.projections.one_way import Whole
from api.projections.openai_errors import openai_error_body
from api.projections.telling import Dialect
from contracts.commands import Question
from contracts.generation import Completed, GenerationEvent, Thinking, Token, ToolCall, ToolCallData, Usage
from contracts.records import Model

DONE = b"data: [DONE]\n\n"


def model_of(model: Model) -> dict[str, Any]:
    """A model as OpenAI lists it."""
    return {"id": model.name, "object": "model", "created": int(model.updated_at.timestamp()), "owned_by": "ollamanet"}


def completion(question: Question, reply: Whole) -> dict[str, Any]:
    """A whole answer."""
    message: dict[str, Any] = {"role": "assistant", "content": reply.text or (None if reply.calls else "")}
    message["refusal"] = None
    if reply.thinking:
        message["reasoning_content"] = reply.thinking
    if reply.calls:
        message["tool_calls"] = [_call(one) for one in reply.calls]
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": reply.end.finish_reason}
    return {**_head(question, "chat.completion"), "choices": [choice], "usage": _usage(reply.end.usage)}


class Chunks(Dialect):
    """A streamed answer. `include_usage`: with a last chunk that has the tokens and no choices."""

    media_type = "text/event-stream"
    alive = b": alive\n"

    def __init__(self, question: Question, *, include_usage: bool) -> None:
        self._head = _head(question, "chat.completion.chunk")
        self._include_usage = include_usage
        self._calls = 0

    def begins(self) -> bytes:
        return self._chunk({"role": "assistant", "content": ""})

    def says(self, events: list[GenerationEvent]) -> bytes:
        return b"".join(self._event(one) for one in events)

    def fails(self, problem: Problem) -> bytes:
        return _data(openai_error_body(problem))

    def _event(self, event: GenerationEvent) -> bytes:
        match event:
            case Token():
                return self._chunk({"content": event.text})
            case Thinking():
                return self._chunk({"reasoning_content": event.text})
            case ToolCall():
                self._calls += 1
                return self._chunk({"tool_calls": [{"index": self._calls - 1, **_call(event)}]})
            case Completed():
                end = self._chunk({}, event.finish_reason)
                usage = self._whole((), _usage(event.usage)) if self._include_usage else b""
                return end + usage + DONE
            case _:
                return b""

    def _chunk(self, delta: Mapping[str, Any], finish_reason: str | None = None) -> bytes:
        return self._whole(({"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish_reason},), None)

    def _whole(self, choices: Sequence[Mapping[str, Any]], usage: Mapping[str, int] | None) -> bytes:
        own = {"usage": usage} if self._include_usage else {}
        return _data({**self._head, "choices": choices, **own})


def _head(question: Question, kind: str) -> dict[str, Any]:
    created = int(question.asked_at.timestamp())
    return {"id": f"chatcmpl-{question.generation_id}", "object": kind, "created": created, "model": question.model}


def _usage(usage: Usage) -> dict[str, int]:
    return {
        "prompt_tokens": usage.input_tokens,
        "completion_tokens": usage.output_tokens,
        "total_tokens": usage.input_tokens + usage.output_tokens,
    }


def _call(call: ToolCallData) -> dict[str, Any]:
    function = {"name": call.name, "arguments": orjson.dumps(call.arguments).decode()}
    return {"id": call.id, "type": "function", "function": function}


def _data(value: Mapping[str, Any]) -> bytes:
    return b"data: " + one_line(orjson.dumps(value)) + b"\n\n"


def one_line(encoded: bytes) -> bytes:
    """JSON without the separators that some clients split lines on (U+2028, U+2029, U+0085)."""
    if b"\xe2\x80" in encoded or b"\xc2\x85" in encoded:
        for raw, escaped in ((b"\xe2\x80\xa8", b"\\u2028"), (b"\xe2\x80\xa9", b"\\u2029"), (b"\xc2\x85", b"\\u0085")):
            encoded = encoded.replace(raw, escaped)
    return encoded
