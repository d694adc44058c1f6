"""The events of a generation's stream, as the OpenAPI document shows them: schemas and examples of the contracts."""

from typing import Any

from contracts.generation import GenerationEvent, Queued, encode, frame
from contracts.published import EVENTS
from contracts.published import examples as published_examples


def stream_events() -> list[GenerationEvent]:
    """One of each. `queued` has no id and is not replayed; exactly one of the last three ends a stream."""
    return [kind.model_validate(published_examples(f"events/{name}")[0]) for name, kind in EVENTS.items()]


def components() -> dict[str, Any]:
    """A schema for each event (`<Name>Event`: its name, id and parsed data) and `GenerationStreamEvent`, any of them."""
    found: dict[str, Any] = {}
    refs: dict[str, str] = {}
    for example in stream_events():
        kind = type(example)
        schema = kind.model_json_schema(ref_template="#/components/schemas/{model}")
        found |= schema.pop("$defs", {})
        found[kind.__name__] = schema
        found[f"{kind.__name__}Event"] = _framed(kind, example)
        refs[kind.event] = f"#/components/schemas/{kind.__name__}Event"
    found["GenerationStreamEvent"] = {
        "oneOf": [{"$ref": ref} for ref in refs.values()],
        "discriminator": {"propertyName": "event", "mapping": refs},
        "description": "One server-sent event: its name, its id where it has one, and its data parsed from JSON.",
    }
    return found


def _framed(kind: type[GenerationEvent], example: GenerationEvent) -> dict[str, Any]:
    data = {"$ref": f"#/components/schemas/{kind.__name__}"}
    properties: dict[str, Any] = {"event": {"type": "string", "const": kind.event}, "data": data}
    if kind is not Queued:
        properties["id"] = {"type": "string", "description": "`<epoch>-<seq>`, opaque: resume with it."}
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
        one.event: {"summary": (type(one).__doc__ or "").strip(), "value": _on_the_wire(seq, one)}
        for seq, one in enumerate(stream_events())
    }


def _on_the_wire(seq: int, event: GenerationEvent) -> str:
    identity = None if isinstance(event, Queued) else f"1838618214400512-{seq}"
    return frame(identity, encode(event)).decode()
