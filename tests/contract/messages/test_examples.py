"""Examples of every contract: what released versions sent. They are never edited, and every later version reads them."""

import hashlib
import json
from pathlib import Path

import jsonschema
import pytest
from pydantic import BaseModel

from contracts.generation import decode, encode, frame
from contracts.published import EVENTS, EXAMPLES, HEADERS, classes, examples, schema

DIGESTS = Path(__file__).with_name("digests.json")
NAMES = sorted(classes())
BODIES = [name for name in NAMES if name != HEADERS]
FROM_LATER = {"added_by_a_later_version": {"any": ["thing", None]}}


def digest(file: Path) -> str:
    return hashlib.sha256(file.read_bytes().replace(b"\r\n", b"\n")).hexdigest()


def test_an_example_is_never_edited_or_removed() -> None:
    """A new example's line is added to digests.json; a line that stands there stays."""
    now = {file.relative_to(EXAMPLES).as_posix(): digest(file) for file in sorted(EXAMPLES.rglob("*.json"))}
    assert now == json.loads(DIGESTS.read_text("utf-8"))


def test_every_example_belongs_to_a_contract() -> None:
    shown = sum(len(examples(name)) for name in NAMES)
    assert shown == len(list(EXAMPLES.rglob("*.json")))


@pytest.mark.parametrize("name", NAMES)
def test_examples_are_valid_by_their_schema(name: str) -> None:
    validator = jsonschema.Draft202012Validator(schema(name), format_checker=jsonschema.FormatChecker())
    for example in examples(name):
        validator.validate(example)


@pytest.mark.parametrize("name", BODIES)
def test_examples_survive_being_read_and_written(name: str) -> None:
    """Every field comes back as it was; a later version may write more."""
    for example in examples(name):
        written = json.loads(classes()[name].model_validate(example).model_dump_json())
        assert _less(written, example) == example


@pytest.mark.parametrize("name", BODIES)
def test_unknown_fields_are_ignored(name: str) -> None:
    kind = classes()[name]
    for example in examples(name):
        assert kind.model_validate(example | FROM_LATER) == kind.model_validate(example)


@pytest.mark.parametrize("name", BODIES)
def test_every_field_is_filled_in_by_an_example(name: str) -> None:
    """By the first, or, where a later version added it, by one of its own."""
    read = [classes()[name].model_validate(example) for example in examples(name)]
    assert set.intersection(*(set(_empty(one, name)) for one in read)) == set()


@pytest.mark.parametrize("name", sorted(EVENTS))
def test_an_events_example_is_the_data_of_its_frame(name: str) -> None:
    for example in examples(f"events/{name}"):
        event = EVENTS[name].model_validate(example)
        assert decode(encode(event)) == event
        *head, data = frame("1838522874880123-7", encode(event)).decode().rstrip("\n").split("\n")
        assert head == ["id: 1838522874880123-7", f"event: {name}"]
        assert _less(json.loads(data.removeprefix("data: ")), example) == example


def _less(written: object, example: object) -> object:
    """`written` without the fields that the example does not have."""
    if isinstance(written, dict) and isinstance(example, dict):
        return {key: _less(value, example[key]) for key, value in written.items() if key in example}
    if isinstance(written, list) and isinstance(example, list) and len(written) == len(example):
        return [_less(one, other) for one, other in zip(written, example, strict=True)]
    return written


def _empty(value: BaseModel, at: str):
    """The fields that were not given, or are empty; a list counts as filled when any of its items fills a field."""
    for name in type(value).model_fields:
        inner = getattr(value, name)
        if name not in value.model_fields_set or inner is None or inner in ("", (), {}):
            yield f"{at}.{name}"
        elif isinstance(inner, BaseModel):
            yield from _empty(inner, f"{at}.{name}")
        elif isinstance(inner, tuple) and isinstance(inner[0], BaseModel):
            yield from set.intersection(*(set(_empty(one, f"{at}.{name}[]")) for one in inner))
