"""The committed schemas are what the code makes, and the code only adds to them."""

import jsonschema
import pytest

from contracts.growth import breaks
from contracts.published import SCHEMAS, as_file, classes, committed_schema, schema

NAMES = sorted(classes())
REMAKE = "run `python -m contracts.published` and commit what it writes"


@pytest.mark.parametrize("name", NAMES)
def test_the_committed_schema_is_what_the_code_makes(name: str) -> None:
    assert committed_schema(name) == schema(name), REMAKE
    assert (SCHEMAS / f"{name}.json").read_text("utf-8") == as_file(schema(name)), REMAKE


@pytest.mark.parametrize("name", NAMES)
def test_the_code_only_adds_to_the_committed_schema(name: str) -> None:
    committed = committed_schema(name)
    assert committed is not None, REMAKE
    assert breaks(committed, schema(name)) == []


@pytest.mark.parametrize("name", NAMES)
def test_a_schema_is_valid_and_leaves_room_for_unknown_fields(name: str) -> None:
    made = schema(name)
    jsonschema.Draft202012Validator.check_schema(made)
    shapes = [made, *made.get("$defs", {}).values()]  # type: ignore[attr-defined]
    assert [one["title"] for one in shapes if one.get("additionalProperties") is False] == []


def test_no_schema_stands_without_its_class() -> None:
    files = {file.relative_to(SCHEMAS).with_suffix("").as_posix() for file in SCHEMAS.rglob("*.json")}
    assert files == set(NAMES)
