"""The events of a generation's stream, as the OpenAPI document shows them."""

from typing import Any

from contracts.generation import (
    Accepted,
    Cancelled,
    Completed,
    Failed,
    GenerationEvent,
    Queued,
    Restarted,
    Started,
    Thinking,
    Timings,
    Token,
    ToolCall,
    Usage,
    encode,
    frame,
)

_IDS = {
    "generation_id": "019ab5e2-7c1a-7d3e-8f00-1d2c3b4a5f60", "chat_id": "019ab5e2-7c1a-7d3e-8f00-2d2c3b4a5f61",
    "message_id": "019ab5e2-7c1a-7d3e-8f00-3d2c3b4a5f62", "reply_id": "019ab5e2-7c1a-7d3e-8f00-4d2c3b4a5f63",
}  # fmt: skip
EXAMPLES: tuple[GenerationEvent, ...] = (
    Accepted(model="smollm2", **_IDS),
    Queued(position=3, eta_ms=4200),
    Started(attempt=1, model="smollm2", backend="local"),
    Thinking(text="The person asks about"),
    Token(text="Because air scatters"),
    ToolCall(id="call_1", name="weather", arguments={"city": "Lisbon"}),
    Restarted(attempt=2, reason="worker_lost"),
    Completed(
        finish_reason="stop",
        usage=Usage(input_tokens=12, output_tokens=34),
        timings=Timings(queue_ms=3, load_ms=0, ttft_ms=180, total_ms=620, tokens_per_second=79.5),
    ),
    Cancelled(usage=Usage(input_tokens=12, output_tokens=7)),
    Failed(code="backend_unreachable", message="gpu-1 does not answer.", retryable=True),
)
"""One of each. `queued` has no id and is not replayed; exactly one of the last three ends a stream."""


def components() -> dict[str, Any]:
    """A schema for each event (`<Name>Event`: its name, id and parsed data) and `GenerationStreamEvent`, any of them."""
    found: dict[str, Any] = {}
    for example in EXAMPLES:
        kind = type(example)
        schema = kind.model_json_schema(ref_template="#/components/schemas/{model}")
        found |= schema.pop("$defs", {})
        found[kind.__name__] = schema
        found[f"{kind.__name__}Event"] = _framed(kind, example)
    names = [f"{type(one).__name__}Event" for one in EXAMPLES]
    refs = {type(one).event: f"#/components/schemas/{name}" for one, name in zip(EXAMPLES, names, strict=True)}
    found["GenerationStreamEvent"] = {
        "oneOf": [{"$ref": ref} for ref in refs.values()],
        "discriminator": {"propertyName": "event", "mapping": refs},
        "description": "One server-sent event: its name, its id where it has one, and its data parsed from JSON.",
    }
    return found


def _framed(kind: type[GenerationEvent], example: GenerationEvent) -> dict[str, Any]:
    data = {"$ref": f"#/components/schemas/{kind.__name__}"}
    identity = {"type": "string", "description": "`<epoch>-<seq>`, opaque: resume with it."}
    properties: dict[str, Any] = {"event": {"type": "string", "const": kind.event}, "data": data}
    if kind is not Queued:
        properties["id"] = identity
    return {
        "type": "object",
        "title": f"{kind.__name__}Event",
        "description": kind.__doc__,
        "properties": properties,
        "required": ["event", "data"],
        "example": {"event": kind.event, "data": example.model_dump(mode="json")},
    }


def examples() -> dict[str, Any]:
    """Each event as it stands on the wire."""
    return {
        type(one).event: {"summary": (type(one).__doc__ or "").strip(), "value": _on_the_wire(seq, one)}
        for seq, one in enumerate(EXAMPLES)
    }


def _on_the_wire(seq: int, event: GenerationEvent) -> str:
    identity = None if isinstance(event, Queued) else f"1838618214400512-{seq}"
    return frame(identity, encode(event)).decode()
