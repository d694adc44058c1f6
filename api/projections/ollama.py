"""Ollama's answers, as its clients read them: whole, or a JSON object a line.

They parse every line, empty ones too; so what keeps a silent line open is a piece of the answer without text.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import orjson

from api.errors import Problem
from api.projections.ollama_errors import ollama_error_body
from api.projections.one_way import Whole
from api.projections.openai import one_line
from api.projections.telling import Dialect
from contracts.generation import Completed, GenerationEvent, Thinking, Token, ToolCall

Calls = Sequence[Mapping[str, Any]]
Shape = Callable[[str, str, Calls], dict[str, Any]]
"""Where the text, the thinking and the calls stand."""
NS_PER_MS = 1_000_000


def chat_shape(text: str, thinking: str = "", calls: Calls = ()) -> dict[str, Any]:
    """As `/api/chat` answers."""
    return {"message": {"role": "assistant", "content": text, **_told(thinking, calls)}}


def generate_shape(text: str, thinking: str = "", calls: Calls = ()) -> dict[str, Any]:
    """As `/api/generate` answers."""
    return {"response": text, **_told(thinking, calls)}


def answer(model: str, shape: Shape, reply: Whole) -> dict[str, Any]:
    """A whole answer. `model`: its name as it was asked for."""
    calls = [_call(number, one) for number, one in enumerate(reply.calls)]
    return {**_head(model), **shape(reply.text, reply.thinking, calls), **_end(reply.end)}


def loaded(model: str, shape: Shape) -> dict[str, Any]:
    """The answer to a body that asks for nothing: the model can be asked."""
    return {**_head(model), **shape("", "", ()), "done": True, "done_reason": "load"}


class Lines(Dialect):
    """A streamed answer."""

    media_type = "application/x-ndjson"

    def __init__(self, model: str, shape: Shape) -> None:
        self._model = model
        self._shape = shape
        self._calls = 0
        self.alive = self._piece("")

    def begins(self) -> bytes:
        return b""

    def says(self, events: list[GenerationEvent]) -> bytes:
        return b"".join(self._event(one) for one in events)

    def fails(self, problem: Problem) -> bytes:
        return _line(ollama_error_body(problem))

    def _event(self, event: GenerationEvent) -> bytes:
        match event:
            case Token():
                return self._piece(event.text)
            case Thinking():
                return self._piece("", event.text)
            case ToolCall():
                self._calls += 1
                return self._piece("", "", [_call(self._calls - 1, event)])
            case Completed():
                return _line({**_head(self._model), **self._shape("", "", ()), **_end(event)})
            case _:
                return b""

    def _piece(self, text: str, thinking: str = "", calls: Calls = ()) -> bytes:
        return _line({**_head(self._model), **self._shape(text, thinking, calls), "done": False})


def _head(model: str) -> dict[str, Any]:
    return {"model": model, "created_at": when(datetime.now(UTC))}


def _told(thinking: str, calls: Calls) -> dict[str, Any]:
    return {**({"thinking": thinking} if thinking else {}), **({"tool_calls": calls} if calls else {})}


def _call(number: int, call: ToolCall) -> dict[str, Any]:
    return {"id": call.id, "function": {"index": number, "name": call.name, "arguments": call.arguments}}


def _end(end: Completed) -> dict[str, Any]:
    """Durations in nanoseconds. Of reading the question: from the load to the first token; of the answer: at the rate that was measured."""
    took, tokens = end.timings, end.usage.output_tokens
    reading_ms = max(0, took.ttft_ms - took.queue_ms - took.load_ms)
    writing_ms = tokens / took.tokens_per_second * 1000 if took.tokens_per_second > 0 else 0.0
    return {
        "done": True,
        "done_reason": "length" if end.finish_reason == "length" else "stop",
        "total_duration": took.total_ms * NS_PER_MS,
        "load_duration": took.load_ms * NS_PER_MS,
        "prompt_eval_count": end.usage.input_tokens,
        "prompt_eval_duration": reading_ms * NS_PER_MS,
        "eval_count": tokens,
        "eval_duration": round(writing_ms * NS_PER_MS),
    }


def when(moment: datetime) -> str:
    """A time as Go writes it."""
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")


def _line(value: Mapping[str, Any]) -> bytes:
    return one_line(orjson.dumps(value)) + b"\n"
