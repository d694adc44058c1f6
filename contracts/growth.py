"""What "contracts only grow" means, as a comparison of two JSON Schemas.

Messages cross versions both ways: an older reader meets what a newer writer sends, a newer reader what waited in a queue or a
store. So whatever stood must stand as it was (name, type, constraints, values, default, required or not), and what is new must
be optional. Wording (titles, descriptions, examples) and the names of definitions are free.
"""

from collections.abc import Iterator, Mapping
from typing import cast

Schema = Mapping[str, object]
_WORDING = {"$defs", "$id", "$schema", "title", "description", "examples"}
_PARTS = {"properties", "required", "items", "prefixItems", "anyOf", "oneOf", "allOf", "additionalProperties"}
"""What is compared piece by piece; every other keyword must be equal."""


def breaks(old: Schema, new: Schema) -> list[str]:
    """Every way in which `new` does more than add to `old`, a sentence each; empty: it only adds."""
    return list(_Comparison(old, new).shapes("", old, new))


class _Comparison:
    """Walks two documents side by side, each following its own `$ref`s."""

    def __init__(self, old: Schema, new: Schema) -> None:
        self._old, self._new = old, new
        self._seen: set[tuple[str, str]] = set()

    def shapes(self, at: str, old: Schema, new: Schema) -> Iterator[str]:
        pair = (str(old.get("$ref", "")), str(new.get("$ref", "")))
        if all(pair):
            if pair in self._seen:  # compared already, or being compared: a definition may hold itself
                return
            self._seen.add(pair)
        old, new = _resolved(self._old, old), _resolved(self._new, new)
        place = at or "the message"
        for keyword in sorted((old.keys() | new.keys()) - _WORDING - _PARTS):
            if not _stands(old.get(keyword), new.get(keyword)):
                yield f"{place}: {keyword} was {_shown(old, keyword)}, is {_shown(new, keyword)}"
        yield from self._fields(at, old, new)
        for keyword in ("items", "additionalProperties"):
            yield from self._inner(f"{at}[]", keyword, old.get(keyword), new.get(keyword))
        for keyword in ("prefixItems", "anyOf", "oneOf", "allOf"):
            yield from self._choices(at, keyword, _list(old, keyword), _list(new, keyword))

    def _fields(self, at: str, old: Schema, new: Schema) -> Iterator[str]:
        had, has = _dict(old, "properties"), _dict(new, "properties")
        must_old, must_new = set(_list(old, "required")), set(_list(new, "required"))
        for name, shape in had.items():
            field = f"{at}.{name}".lstrip(".")
            if name not in has:
                yield f"{field}: removed"
                continue
            if (name in must_old) != (name in must_new):
                yield f"{field}: was {_need(name in must_old)}, is {_need(name in must_new)}"
            yield from self.shapes(field, cast(Schema, shape), cast(Schema, has[name]))
        for name in sorted((has.keys() - had.keys()) & must_new):
            yield f"{f'{at}.{name}'.lstrip('.')}: new, but required"

    def _inner(self, at: str, keyword: str, old: object, new: object) -> Iterator[str]:
        if isinstance(old, Mapping) and isinstance(new, Mapping):
            yield from self.shapes(at, cast(Schema, old), cast(Schema, new))
        elif old != new:
            yield f"{at}: {keyword} changed"

    def _choices(self, at: str, keyword: str, old: list[object], new: list[object]) -> Iterator[str]:
        if len(old) != len(new):
            yield f"{at or 'the message'}: {keyword} had {len(old)} shapes, has {len(new)}"
            return
        for one, other in zip(old, new, strict=True):
            yield from self.shapes(at, cast(Schema, one), cast(Schema, other))


def _stands(old: object, new: object) -> bool:
    """Equal, or an object (a default) that only got more fields."""
    if isinstance(old, dict) and isinstance(new, dict):
        had, has = cast("dict[str, object]", old), cast("dict[str, object]", new)
        return all(key in has and _stands(value, has[key]) for key, value in had.items())
    return old == new


def _resolved(document: Schema, shape: Schema) -> Schema:
    """The shape with its reference replaced by what it names; keywords beside the reference stay."""
    reference = shape.get("$ref")
    if not isinstance(reference, str):
        return shape
    named = cast(Schema, _dict(document, "$defs")[reference.removeprefix("#/$defs/")])
    return {**_resolved(document, named), **{key: value for key, value in shape.items() if key != "$ref"}}


def _dict(schema: Schema, keyword: str) -> dict[str, object]:
    return cast("dict[str, object]", schema.get(keyword) or {})


def _list(schema: Schema, keyword: str) -> list[object]:
    return cast("list[object]", schema.get(keyword) or [])


def _need(required: bool) -> str:
    return "required" if required else "optional"


def _shown(schema: Schema, keyword: str) -> str:
    return repr(schema[keyword]) if keyword in schema else "not given"
