"""The events of streams, a generation's and a command's, as the OpenAPI document shows them: schemas and examples of the contracts."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from contracts.generation import GenerationEvent, Queued, encode, frame
from contracts.progress import CommandEvent, encode_command_event
from contracts.published import COMMAND_EVENTS, EVENTS
from contracts.published import examples as published_examples

Event = GenerationEvent | CommandEvent


@dataclass(frozen=True)
class Stream:
    """A kind of stream. `name`: of the schema that is any of its events; `events`: one of each."""

    name: str
    description: str
    events: Sequence[Event]


def stream_events() -> list[GenerationEvent]:
    """One of each. `queued` has no id and is not replayed; exactly one of the last three ends a stream."""
    return [kind.model_validate(published_examples(f"events/{name}")[0]) for name, kind in EVENTS.items()]


def command_events() -> list[CommandEvent]:
    """One of each; exactly one of the last three ends a stream."""
    kinds = COMMAND_EVENTS.items()
    return [kind.model_validate(published_examples(f"command-events/{name}")[0]) for name, kind in kinds]


def streams() -> tuple[Stream, Stream]:
    """Generations', and commands'."""
    ends = "until the one that ends it."
    return (
        Stream("GenerationStreamEvent", f"The generation's events, {ends}", stream_events()),
        Stream("CommandStreamEvent", f"The command's events, {ends}", command_events()),
    )


def components() -> dict[str, Any]:
    """A schema for each event (`<Name>Event`: its name, id and parsed data) and, for each kind of stream, any of its events."""
    found: dict[str, Any] = {}
    for stream in streams():
        refs: dict[str, str] = {}
        for example in stream.events:
            kind = type(example)
            schema = kind.model_json_schema(ref_template="#/components/schemas/{model}")
            found |= schema.pop("$defs", {})
            found[kind.__name__] = schema
            found[f"{kind.__name__}Event"] = _framed(kind, example)
            refs[kind.event] = f"#/components/schemas/{kind.__name__}Event"
        found[stream.name] = {
            "oneOf": [{"$ref": ref} for ref in refs.values()],
            "discriminator": {"propertyName": "event", "mapping": refs},
            "description": "One server-sent event: its name, its id where it has one, and its data parsed from JSON.",
        }
    return found


def answer(stream: Stream) -> dict[str, Any]:
    """The answer of a route that gives such a stream."""
    schema = {"type": "string", "x-event-schema": {"$ref": f"#/components/schemas/{stream.name}"}}
    content = {"text/event-stream": {"schema": schema, "examples": _examples(stream)}}
    return {"description": stream.description, "content": content}


def _framed(kind: type[Event], example: Event) -> dict[str, Any]:
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


def _examples(stream: Stream) -> dict[str, Any]:
    """Each event as it stands on the wire."""
    return {
        one.event: {"summary": (type(one).__doc__ or "").strip(), "value": _on_the_wire(seq, one)}
        for seq, one in enumerate(stream.events)
    }


def _on_the_wire(seq: int, event: Event) -> str:
    identity = None if isinstance(event, Queued) else f"1838618214400512-{seq}"
    encoded = encode_command_event(event) if isinstance(event, CommandEvent) else encode(event)
    return frame(identity, encoded).decode()
