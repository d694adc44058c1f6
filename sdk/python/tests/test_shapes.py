"""The typed shapes are those of the platform's OpenAPI document."""

import json
from dataclasses import fields
from pathlib import Path
from typing import Any, get_type_hints

import pytest

from ollamanet import _events, _shapes

SCHEMAS: dict[str, Any] = json.loads((Path(__file__).parents[2] / "openapi.json").read_text("utf-8"))["components"][
    "schemas"
]
NAMES = {
    "User": "Me", "Chat": "ChatBody", "WholeChat": "WholeChat", "Message": "MessageBody", "Generation": "GenerationBody",
    "Model": "ModelBody", "ApiKey": "KeyBody", "SecretApiKey": "SecretKey", "Options": "Options", "UsageData": "Usage",
    "TimingsData": "Timings", "ErrorData": "ReplyError", "Image": "ImageBody", "ToolCallData": "ToolCallData",
}  # fmt: skip


@pytest.mark.parametrize(("shape", "schema"), NAMES.items(), ids=NAMES)
def test_a_shape_has_the_fields_of_its_schema(shape: str, schema: str) -> None:
    told, kind = SCHEMAS[schema], getattr(_shapes, shape)
    hints = get_type_hints(kind)
    assert set(hints) == set(told["properties"])
    assert kind.__required_keys__ == set(told.get("required", ()))
    for name, one in told["properties"].items():
        assert (type(None) in getattr(hints[name], "__args__", ())) == ({"type": "null"} in one.get("anyOf", ())), name


def test_a_question_takes_what_the_platform_takes() -> None:
    fields = set(get_type_hints(_shapes.MoreOfAQuestion)) | {"content", "model"}
    assert fields == set(SCHEMAS["StreamBody"]["properties"])


def test_every_event_of_the_platform_is_known_with_its_fields() -> None:
    mapping = SCHEMAS["GenerationStreamEvent"]["discriminator"]["mapping"]
    assert set(_events._KINDS) == set(mapping)
    for name, kind in _events._KINDS.items():
        told = set(SCHEMAS[kind.__name__]["properties"])
        own = {one.name for one in fields(kind)} - {"id"}
        ours = {"id" if one == "call_id" else one for one in own}
        assert ours == told, name
