"""Whitespace where new output joins what was said."""

import pytest

from contracts.generation import ToolCallData
from contracts.ports.backend import CallTool, Text, ThinkingText
from infra.backends.seam import Seam


def joined(said: str, *pieces: str) -> str:
    seam = Seam(said)
    found = [seam.join(Text(one)) for one in pieces]
    return "".join(piece.text for piece in found if isinstance(piece, Text))


@pytest.mark.parametrize(
    ("said", "sent"),
    [("One two", "One two"), ("One ", "One"), ("One\n\n", "One"), ("One\n  - ", "One\n  -"), ("\n", ""), ("", "")],
)
def test_trailing_whitespace_is_not_sent(said: str, sent: str) -> None:
    assert Seam(said).sent == sent


@pytest.mark.parametrize(
    ("said", "pieces", "new"),
    [
        ("One", (" two",), " two"),
        ("One ", (" two",), "two"),
        ("One\n\n", ("\n\n", "Two"), "Two"),
        ("One\n\n", ("\n", "\n", "Two"), "Two"),
        ("One\n\n", ("\n", "Two"), "Two"),
        ("One\n", ("\n\nTwo",), "\nTwo"),
        ("One\n", ("\n  - two",), "  - two"),
        ("One\n\n", ("\n  - two",), "  - two"),
        ("One\n", (" two",), " two"),
        ("One ", ("two", " three"), "two three"),
        ("One ", (" two", " ", " three"), "two  three"),
        ("", (" one",), " one"),
    ],
)
def test_whitespace_that_was_shown_is_not_shown_again(said: str, pieces: tuple[str, ...], new: str) -> None:
    assert joined(said, *pieces) == new


def test_tokens_of_what_is_dropped_count_with_the_next_piece() -> None:
    seam = Seam("One\n\n")
    assert seam.join(Text("\n", 1)) is None
    assert seam.join(Text("\nTwo", 2)) == Text("Two", 3)
    assert seam.join(Text(" three", 1)) == Text(" three", 1)


def test_thinking_and_calls_pass() -> None:
    seam = Seam("One ")
    for piece in (ThinkingText(" Hm."), CallTool(ToolCallData(id="1", name="now"))):
        assert seam.join(piece) is piece
