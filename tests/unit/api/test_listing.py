"""Pages of Explore: what matches, in every order, without a model twice or left out."""

import base64
from datetime import UTC, datetime, timedelta

import orjson
import pytest

from api.errors import BadCursor
from api.explore import Choice
from api.listing import Sort, Wanted, tag_counts
from contracts.records import BackendModel, Model
from tests.unit.api.catalogs import served

START = datetime(2026, 1, 1, tzinfo=UTC)
SORTS: tuple[Sort, ...] = (
    "name", "-name", "updated_at", "-updated_at", "verified_at", "-verified_at", "size", "-size", "context", "-context"
)  # fmt: skip


def choice(name: str, told: dict[str, object] | None = None, **changes: object) -> Choice:
    one = BackendModel.model_validate({"name": name, "backend": "one", **(told or {})})
    fields = {"name": name, "served_by": (one,), "known": one, "updated_at": START, **changes}
    model = Model.model_validate(fields)
    return Choice(model, model)


def names(found: list[Choice] | tuple[Choice, ...]) -> list[str]:
    return [one.shown.name for one in found]


def walked(wanted: Wanted, choices: list[Choice], limit: int) -> list[str]:
    """Page by page."""
    found, cursor = wanted.page(choices, limit, None)
    everything = names(list(found))
    while cursor is not None:
        found, cursor = wanted.page(choices, limit, cursor)
        assert found
        everything += names(list(found))
    return everything


def catalog() -> list[Choice]:
    """Twenty models; half of the sizes are told, twice each, and names are of all kinds."""
    named = ["a", "ab", "b", "Z", "é", "🦙", "a/b:7b", "a b", "%", '"'] + [f"m{number:02}" for number in range(10)]
    return [
        choice(
            name,
            updated_at=START + timedelta(microseconds=place // 3),
            verified_at=None if place % 2 else START - timedelta(days=place),
            told={"size_bytes": None if place % 2 else place // 4, "context_length": 1024 * (place % 5) or None},
        )
        for place, name in enumerate(named)
    ]


@pytest.mark.parametrize("sort", SORTS)
@pytest.mark.parametrize("limit", [1, 3, 7, 20, 100])
def test_pages_hold_every_model_once_in_the_order_that_was_asked_for(sort: Sort, limit: int) -> None:
    choices = catalog()
    whole, cursor = Wanted(sort=sort).page(choices, 100, None)
    assert cursor is None
    assert walked(Wanted(sort=sort), choices, limit) == names(list(whole))
    assert sorted(names(list(whole))) == sorted(names(choices))


@pytest.mark.parametrize(
    ("sort", "expected"),
    [("size", ["small", "large", "untold"]), ("-size", ["large", "small", "untold"]),
     ("name", ["large", "small", "untold"]), ("-name", ["untold", "small", "large"])],
)  # fmt: skip
def test_what_nobody_tells_comes_last_either_way(sort: Sort, expected: list[str]) -> None:
    choices = [choice("untold"), choice("large", told={"size_bytes": 9}), choice("small", told={"size_bytes": 1})]
    assert walked(Wanted(sort=sort), choices, 1) == expected


def test_equal_ones_stand_by_name() -> None:
    choices = [choice(name, told={"size_bytes": 5}) for name in ("b", "c", "a")]
    assert walked(Wanted(sort="-size"), choices, 1) == walked(Wanted(sort="size"), choices, 2) == ["a", "b", "c"]


@pytest.mark.parametrize("size", [1 << 80, -(1 << 80), (1 << 63) - 1])
def test_a_size_beyond_all_numbers_stops_no_page(size: int) -> None:
    choices = [choice(name, told={"size_bytes": size, "context_length": size}) for name in ("a", "b", "c")]
    for sort in ("size", "-size", "context", "-context"):
        assert walked(Wanted(sort=sort), choices, 1) == ["a", "b", "c"]


def test_a_model_that_comes_or_goes_between_pages_moves_no_other() -> None:
    choices = [choice(name) for name in ("b", "d", "f", "h")]
    first, cursor = Wanted().page(choices, 2, None)
    assert names(list(first)) == ["b", "d"]
    choices = [choice(name) for name in ("a", "b", "e", "f", "h")]
    assert names(list(Wanted().page(choices, 9, cursor)[0])) == ["e", "f", "h"]


def _made(*values: object) -> str:
    return base64.urlsafe_b64encode(b"model>" + orjson.dumps(values)).decode()


@pytest.mark.parametrize(
    "cursor",
    ["", "x", "AAAA", "💥", "a" * 400, _made(), _made("name", "a"), _made("name", "a", "a", "a"), _made("name", None, "a"),
     _made("name", 1, "a"), _made("name", "a", 1), _made("size", 1, "a"), _made("-name", "a", "a"), _made(None, "a", "a"),
     _made({}, [], {}), base64.urlsafe_b64encode(b'model>["name", "a", "a"]').decode(),
     base64.urlsafe_b64encode(b'["name","a","a"]').decode(), base64.urlsafe_b64encode(b'model>["name","\\ud800","a"]').decode()],
    ids=lambda cursor: cursor[:24] or "empty",
)  # fmt: skip
def test_a_cursor_of_another_list_is_refused(cursor: str) -> None:
    with pytest.raises(BadCursor):
        Wanted().page([choice("a")], 1, cursor)


def test_a_cursor_goes_with_its_order_alone() -> None:
    choices = catalog()
    for sort in SORTS:
        _, cursor = Wanted(sort=sort).page(choices, 1, None)
        for other in SORTS:
            if other != sort:
                with pytest.raises(BadCursor):
                    Wanted(sort=other).page(choices, 1, cursor)


def found(wanted: Wanted) -> list[str]:
    choices = [
        choice("small", tags=("fast", "tiny"), told={"capabilities": ("chat",), "description": "A Small one"}),
        choice("large", tags=("slow",), description="The LARGE one", told={"capabilities": ("chat", "tools"), "backend": "two"}),
        choice("vectors", tags=("fast",), told={"capabilities": ("embed",)}),
        choice("asleep", tags=("fast",), served_by=()),
        choice("old", tags=("fast",), retired=True),
    ]  # fmt: skip
    return names(list(wanted.page(choices, 100, None)[0]))


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        (Wanted(), ["asleep", "large", "small", "vectors"]),
        (Wanted(retired=True), ["asleep", "large", "old", "small", "vectors"]),
        (Wanted(status="retired"), ["old"]),
        (Wanted(status="unavailable"), ["asleep"]),
        (Wanted(status="available", retired=True), ["large", "small", "vectors"]),
        (Wanted(tags=("fast",)), ["asleep", "small", "vectors"]),
        (Wanted(tags=("fast", "tiny")), ["small"]),
        (Wanted(tags=("fast", "slow")), []),
        (Wanted(capabilities=("chat",)), ["asleep", "large", "small"]),
        (Wanted(capabilities=("tools", "chat")), ["large"]),
        (Wanted(capabilities=("chat", "embed")), []),
        (Wanted(backend="two"), ["large"]),
        (Wanted(backend="one"), ["small", "vectors"]),
        (Wanted(words="one"), ["large", "small"]),
        (Wanted(words="ONE  small"), ["small"]),
        (Wanted(words="large", tags=("fast",)), []),
    ],
    ids=["everything", "retired-too", "retired", "unavailable", "available", "tag", "tags", "no-such-tags", "capability",
         "capabilities", "no-such-capabilities", "backend", "other-backend", "word", "words", "word-and-tag"],
)  # fmt: skip
def test_filters_match_all_together(wanted: Wanted, expected: list[str]) -> None:
    assert found(wanted) == expected


def test_tags_are_counted_the_most_first_and_retired_models_do_not_count() -> None:
    models = [
        Model(name="a", tags=("x", "y", "y"), served_by=(served(),), updated_at=START),
        Model(name="b", tags=("y", "a"), updated_at=START),
        Model(name="c", tags=("x", "gone"), retired=True, updated_at=START),
    ]
    assert list(tag_counts(models)) == [("y", 2), ("a", 1), ("x", 1)]
    assert list(tag_counts([])) == []
