"""The two protocols that the fake back-end speaks: how tokens, errors and ends look on the wire."""

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Protocol

from infra.fake.behaviour import Called, Said


class Dialect(Protocol):
    """One of them. `end` tells how many tokens were said and read, and how many seconds reading and writing took."""

    content_type: str

    def line(self, data: bytes) -> bytes: ...

    def token(self, said: Said) -> bytes: ...

    def call(self, called: Called) -> bytes: ...

    def error(self, words: str) -> bytes: ...

    def end(self, reason: str, output: int, read: int, reading: float, writing: float) -> bytes: ...


@dataclass
class OllamaDialect(Dialect):
    """A JSON object a line."""

    model: str
    content_type: str = "application/x-ndjson"

    def line(self, data: bytes) -> bytes:
        return data + b"\n"

    def token(self, said: Said) -> bytes:
        told = {"content": "", "thinking": said.text} if said.thinking else {"content": said.text}
        return self._object(message={"role": "assistant", **told}, done=False)

    def call(self, called: Called) -> bytes:
        calls = [{"function": {"name": called.name, "arguments": called.arguments}}]
        return self._object(message={"role": "assistant", "content": "", "tool_calls": calls}, done=False)

    def error(self, words: str) -> bytes:
        return self.line(json.dumps({"error": words}).encode())

    def end(self, reason: str, output: int, read: int, reading: float, writing: float) -> bytes:
        message = {"role": "assistant", "content": ""}
        took = {
            "load_duration": 1_000_000,
            "prompt_eval_duration": int(reading * 1e9),
            "eval_duration": int(writing * 1e9),
        }
        counts = {"prompt_eval_count": read, "eval_count": output, **took}
        return self._object(message=message, done=True, done_reason=reason, **counts)

    def _object(self, **fields: object) -> bytes:
        now = datetime.now(UTC).isoformat()
        return self.line(json.dumps({"model": self.model, "created_at": now, **fields}).encode())


@dataclass
class OpenAIDialect(Dialect):
    """Server-sent events."""

    model: str
    content_type: str = "text/event-stream"
    calls: int = 0

    def line(self, data: bytes) -> bytes:
        return b"data: " + data + b"\n\n"

    def token(self, said: Said) -> bytes:
        return self._delta({"reasoning_content" if said.thinking else "content": said.text})

    def call(self, called: Called) -> bytes:
        """The name first, then the arguments, as OpenAI streams them."""
        index, self.calls = self.calls, self.calls + 1
        begun = {
            "index": index,
            "id": f"call_{index}",
            "type": "function",
            "function": {"name": called.name, "arguments": ""},
        }
        more = {"index": index, "function": {"arguments": json.dumps(called.arguments)}}
        return self._delta({"tool_calls": [begun]}) + self._delta({"tool_calls": [more]})

    def error(self, words: str) -> bytes:
        return self.line(json.dumps({"error": {"message": words, "type": "server_error"}}).encode())

    def end(self, reason: str, output: int, read: int, reading: float, writing: float) -> bytes:
        usage = {"prompt_tokens": read, "completion_tokens": output, "total_tokens": read + output}
        reason = "tool_calls" if self.calls else reason
        finish = self._delta({}, reason)
        timings = {"prompt_n": read, "prompt_ms": reading * 1000, "predicted_n": output, "predicted_ms": writing * 1000}
        return finish + self._chunk([], usage=usage, timings=timings) + b"data: [DONE]\n\n"

    def _delta(self, delta: dict[str, object], finish_reason: str | None = None) -> bytes:
        return self._chunk([{"index": 0, "delta": delta, "finish_reason": finish_reason}])

    def _chunk(self, choices: list[dict[str, object]], **more: object) -> bytes:
        whole = {"id": "fake", "object": "chat.completion.chunk", "model": self.model, "choices": choices, **more}
        return self.line(json.dumps(whole).encode())
