"""What "only adds" means, on made-up changes of a made-up contract."""

from typing import Literal

import pytest
from pydantic import Field, create_model

from contracts import published
from contracts.growth import breaks
from contracts.value import Value


class Part(Value):
    """A piece that is used twice."""

    text: str
    weight: float = 1.0


class Order(Value):
    """The contract as it was released."""

    id: str
    part: Part = Part(text="")
    parts: tuple[Part, ...] = ()
    lane: Literal["fast", "slow"] = "fast"
    limit: int | None = Field(default=None, ge=1)
    extra: dict[str, object] = Field(default_factory=dict)


OLD = Order.model_json_schema()


def changed(**fields: object) -> list[str]:
    """What `breaks` says of the contract with these fields instead (a type, or a type and its default)."""
    grown = create_model("Order", __base__=Order, **fields)  # type: ignore[call-overload]
    return breaks(OLD, grown.model_json_schema())


def without(name: str) -> list[str]:
    kept = {key: (field.annotation, field) for key, field in Order.model_fields.items() if key != name}
    return breaks(OLD, create_model("Order", __base__=Value, **kept).model_json_schema())  # type: ignore[call-overload]


def test_nothing_changed_breaks_nothing() -> None:
    assert breaks(OLD, OLD) == []


def test_new_optional_fields_only_add() -> None:
    class Heavier(Part):
        unit: str = "kg"

    assert changed(note=(str, ""), twin=(Heavier | None, None)) == []
    assert changed(part=(Heavier, Heavier(text="")), parts=(tuple[Heavier, ...], ())) == []


def test_other_words_and_another_name_of_a_definition_change_nothing() -> None:
    reworded = create_model("Piece", __base__=Part, __doc__="Said better.")
    assert changed(part=(reworded, reworded(text="")), parts=(tuple[reworded, ...], ())) == []  # type: ignore[valid-type]


def test_a_new_required_field_breaks() -> None:
    assert changed(owner=(str, ...)) == ["owner: new, but required"]


def test_a_removed_or_renamed_field_breaks() -> None:
    assert without("lane") == ["lane: removed"]
    renamed = {"track" if key == "lane" else key: value for key, value in OLD["properties"].items()}
    assert breaks(OLD, {**OLD, "properties": renamed}) == ["lane: removed"]


@pytest.mark.parametrize(
    ("field", "definition"),
    [
        ("id", (int, ...)),
        ("id", (str | None, ...)),
        ("id", (str, "")),  # a newer writer might leave it out
        ("lane", (Literal["fast", "slow", "idle"], "fast")),  # an older reader refuses the new value
        ("lane", (Literal["fast"], "fast")),
        ("lane", (Literal["fast", "slow"], "slow")),  # what an older message meant by leaving it out
        ("limit", (int, 1)),
        ("limit", (int | None, Field(default=None, ge=5))),
        ("parts", (tuple[str, ...], ())),
        ("extra", (dict[str, str], {})),
    ],
)
def test_another_type_constraint_value_or_default_breaks(field: str, definition: tuple[object, object]) -> None:
    told = changed(**{field: definition})
    assert told
    assert all(one.startswith(field) for one in told)


def test_a_change_deep_inside_breaks_and_is_named_by_its_place() -> None:
    class Stricter(Part):
        weight: float  # type: ignore[misc] - required now

    told = changed(parts=(tuple[Stricter, ...], ()))
    assert "parts[].weight: was optional, is required" in told


def test_a_definition_that_holds_itself_is_compared_once() -> None:
    tree = {"type": "object", "properties": {"leaf": {"$ref": "#/$defs/Tree"}}}
    document = {"$defs": {"Tree": tree}, "$ref": "#/$defs/Tree"}
    grown = {**tree, "properties": {"leaf": {"$ref": "#/$defs/Tree"}, "name": {"type": "string"}}}
    assert breaks(document, {"$defs": {"Tree": grown}, "$ref": "#/$defs/Tree"}) == []


def test_the_command_refuses_what_breaks_and_writes_nothing(tmp_path, monkeypatch, capsys) -> None:
    monkeypatch.setattr(published, "SCHEMAS", tmp_path / "schemas")
    assert published.main() == 0
    token = tmp_path / "schemas" / "events" / "token.json"
    token.write_text(token.read_text().replace('"text"', '"words"'))
    edited = token.read_text()
    assert published.main() == 1
    assert token.read_text() == edited
    told = capsys.readouterr().err
    assert "events/token: words: removed" in told
    assert "events/token: text: new, but required" in told
