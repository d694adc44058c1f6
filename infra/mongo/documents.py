"""Records as documents: the key as `_id`, times as dates of whole milliseconds, no field without a value.

What a model made up (the arguments of tool calls: any key, any number) is kept as JSON text, because not every JSON object is
a BSON document.
"""

import datetime
from collections.abc import Mapping
from typing import Any, TypeVar

from pydantic_core import from_json, to_json

from contracts.records import Message
from contracts.value import Value

V = TypeVar("V", bound=Value)
UTC = datetime.UTC
MOST = (1 << 63) - 1
"""The greatest number that BSON holds; a back-end's own figures may be greater, and must not keep a reply from being recorded."""


def same(value: object) -> object:
    """The condition that a field is exactly this value, whatever it is: an object is compared, not obeyed."""
    return value if isinstance(value, str) else {"$eq": value}


def document(record: Value, key: str = "id") -> dict[str, Any]:
    """The document of a record whose key is this field."""
    fields = record.model_dump(exclude_none=True)
    return {"_id": fields.pop(key), **_storable(fields)}


def record_of(kind: type[V], found: Mapping[str, Any], key: str = "id") -> V:
    """The record of a document that `document` made."""
    return kind.model_validate({**found, key: found["_id"]})


def message_document(message: Message) -> dict[str, Any]:
    """The document of a message."""
    made = document(message.model_copy(update={"tool_calls": ()}))
    del made["tool_calls"]
    return {**made, "tool_calls": to_json(message.tool_calls).decode()} if message.tool_calls else made


def message_of(found: Mapping[str, Any]) -> Message:
    """The message of a document that `message_document` made."""
    return record_of(Message, {"parent_id": None, **found, "tool_calls": from_json(found.get("tool_calls", "[]"))})


def milliseconds(moment: datetime.datetime) -> datetime.datetime:
    """The moment as it is stored: BSON's dates have no finer part."""
    return moment.replace(microsecond=moment.microsecond // 1000 * 1000)


def _storable(value: Any) -> Any:
    match value:
        case dict():
            return {name: _storable(one) for name, one in value.items()}
        case list() | tuple():
            return [_storable(one) for one in value]
        case datetime.datetime():
            return milliseconds(value)
        case bool():
            return value
        case int():
            return max(-MOST, min(MOST, value))
        case _:
            return value
