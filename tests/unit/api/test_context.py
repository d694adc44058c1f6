"""What the model reads of a chat."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.context import (
    BYTES_PER_TOKEN,
    LARGEST,
    TURN_TOKENS,
    UNKNOWN_LENGTH,
    branch,
    brought,
    context_of,
    newest,
    system_of,
    turns_of,
)
from api.errors import TooManyImages
from contracts.commands import Turn
from contracts.errors import ContextTooLong
from contracts.generation import ToolCallData
from contracts.images import MOST_IN_CONTEXT
from contracts.records import Message
from tests.pictures import image_of, png


def message(identity: str, parent: str | None = None, role: str = "user", **changes: object) -> Message:
    fields = {
        "id": identity, "chat_id": "c", "owner": "o", "parent_id": parent, "role": role, "content": f"said {identity}",
        "created_at": datetime.now(UTC),
    }  # fmt: skip
    return Message.model_validate({**fields, **changes})


QUESTION, REPLY = message("1"), message("2", "1", "assistant")
TWO_TURNS = [QUESTION, REPLY, message("3", "2"), message("4", "3", "assistant")]


def said(turns: tuple[Turn, ...]) -> list[tuple[str, str]]:
    return [(one.role, one.content) for one in turns]


def tokens(text: str) -> int:
    """As the estimate has it."""
    return -(-len(text.encode()) // BYTES_PER_TOKEN) + TURN_TOKENS


# The branch


def test_a_branch_is_the_way_from_the_root_to_its_leaf() -> None:
    other = message("5", "2")
    messages = [*TWO_TURNS, other, message("6", "5", "assistant")]
    assert [one.id for one in branch(messages, "6") or ()] == ["1", "2", "5", "6"]
    assert [one.id for one in branch(messages[::-1], "4") or ()] == ["1", "2", "3", "4"]
    assert branch(messages, None) == []


@pytest.mark.parametrize("missing", ["1", "2", "3", "4"])
def test_a_missing_message_is_a_hole(missing: str) -> None:
    assert branch([one for one in TWO_TURNS if one.id != missing], "4") is None


def test_a_loop_in_bad_data_is_a_hole() -> None:
    assert branch([message("1", "2"), message("2", "1")], "2") is None
    assert branch([message("1", "1")], "1") is None


def test_a_question_goes_on_after_the_newest_message() -> None:
    assert newest(TWO_TURNS) == "4"
    assert newest(TWO_TURNS[::-1]) == "4"
    assert newest([]) is None


def test_a_question_without_a_reply_is_not_forgotten() -> None:
    """Redis lost its open entry, and history has recorded the question alone."""
    assert newest([QUESTION]) == "1"
    assert newest([*TWO_TURNS, message("5", "4")]) == "5"


# The system prompt


def test_the_newest_system_prompt_of_the_branch_holds() -> None:
    messages = [message("1", system="first"), REPLY, message("3", "2", system="second"), message("5", "4")]
    assert system_of(messages, None) == "second"
    assert system_of(messages, "own") == "own"
    assert system_of(messages, "") == ""
    assert system_of(TWO_TURNS, None) is None


def test_an_empty_system_prompt_takes_the_former_one_back() -> None:
    messages = [message("1", system="first"), REPLY, message("3", "2", system="")]
    assert said(context_of([], "x", system_of(messages, None), None, None)) == [("user", "x")]


# Turns


def test_cancelled_replies_stand_failed_ones_are_left_out() -> None:
    messages = [
        QUESTION, message("2", "1", "assistant", status="cancelled", content="half"),
        message("3", "2"), message("4", "3", "assistant", status="failed", content="broken"),
    ]  # fmt: skip
    assert said(context_of(messages, "now", None, None, None)) == [
        ("user", "said 1"), ("assistant", "half"), ("user", "said 3\n\nnow"),
    ]  # fmt: skip


def test_empty_replies_are_left_out_and_calls_are_not() -> None:
    call = ToolCallData(id="1", name="look")
    empty, calling = (
        message("2", "1", "assistant", content=""),
        message("2", "1", "assistant", content="", tool_calls=(call,)),
    )
    assert [one.role for one in turns_of([QUESTION, empty])] == ["user"]
    assert turns_of([QUESTION, calling])[1].tool_calls == (call,)


def test_neighbouring_questions_become_one() -> None:
    messages = [message("1"), message("3", "1"), message("5", "3")]
    assert said(context_of(messages, "now", None, None, None)) == [("user", "said 1\n\nsaid 3\n\nsaid 5\n\nnow")]


# What fits


def test_the_newest_turns_that_fit_are_kept() -> None:
    long = "x" * 300
    messages = [message(str(n), role="user" if n % 2 else "assistant", content=f"{n}{long}") for n in range(1, 9)]
    room = tokens("now") + 2 * tokens("7" + long)
    kept = context_of(messages, "now", "brief", 4 * (room + tokens("brief")) // 3 + 4, None)
    assert [one.content[0] for one in kept] == ["b", "7", "8", "n"]
    assert [one.role for one in kept] == ["system", "user", "assistant", "user"]


def test_the_context_begins_with_a_question() -> None:
    messages = [message("1", content="x" * 3000), message("2", "1", "assistant", content="short")]
    assert said(context_of(messages, "now", None, 512, None)) == [("user", "now")]


def test_a_question_that_does_not_fit_says_what_would() -> None:
    for system, content in ((None, "x" * 1600), ("x" * 1600, "now")):
        with pytest.raises(ContextTooLong) as error:
            context_of([], content, system, 512, None)
        assert error.value.limit == 512
    assert said(context_of([], "x" * 3 * (512 - TURN_TOKENS), None, 512, None))


def test_an_unknown_length_is_a_small_one() -> None:
    with pytest.raises(ContextTooLong) as error:
        context_of([], "x" * 13_000, None, None, None)
    assert error.value.limit == UNKNOWN_LENGTH


def test_a_merged_question_that_is_too_long_falls_back_to_itself() -> None:
    failed = [message("1", content="x" * 3000), message("2", "1", "assistant", status="failed")]
    assert said(context_of(failed, "now", None, 512, None)) == [("user", "now")]


def test_room_for_the_reply_is_kept_free() -> None:
    messages = [QUESTION, message("2", "1", "assistant", content="x" * 1140)]
    assert len(context_of(messages, "now", None, 512, 10)) == 3
    assert len(context_of(messages, "now", None, 512, None)) == 1
    assert len(context_of(messages, "now", None, 512, 100_000)) == 1


def test_however_long_the_model_a_command_stays_one_that_the_broker_takes() -> None:
    messages = [message(f"{n:04}", role="user" if n % 2 else "assistant", content="x" * 50_000) for n in range(1, 101)]
    kept = context_of(messages, "now", None, 10_000_000, None)
    assert LARGEST - 100_000 < sum(len(one.content) for one in kept) <= LARGEST


@given(st.text(min_size=1, max_size=400), st.integers(1, 400), st.lists(st.text(max_size=200), max_size=8))
def test_what_is_kept_always_fits_the_estimate(content: str, length: int, before: list[str]) -> None:
    messages = [
        message(f"{n:02}", role="user" if n % 2 else "assistant", content=one) for n, one in enumerate(before, 1)
    ]
    try:
        kept = context_of(messages, content, None, length, None)
    except ContextTooLong:
        assert tokens(content) > length
        return
    assert kept[-1].content.endswith(content)
    assert kept[0].role == "user"
    assert sum(tokens(one.content) for one in kept) <= length


def shows(*contents: bytes, **changes: object) -> Message:
    """The question, with these images."""
    return QUESTION.model_copy(update={"images": tuple(image_of(one).reference for one in contents), **changes})


def test_images_count_where_older_turns_are_left_out() -> None:
    own = (image_of(png()).reference,)
    told = context_of([shows(png(), png(shade=1)), REPLY], "And this?", None, 8192, None, images=own)
    assert [len(one.images) for one in told] == [2, 0, 1]
    told = context_of([shows(png(), png(shade=1)), REPLY], "And this?", None, 3500, None, images=own)
    assert [len(one.images) for one in told] == [1]


def test_no_question_is_refused_for_its_images_alone() -> None:
    own = tuple(image_of(png(shade=shade)).reference for shade in range(8))
    (told,) = context_of([], "What are these?", None, 4096, None, images=own)
    assert told.images == own


def test_so_many_images_are_sent_and_no_more() -> None:
    many = shows(*(png(shade=shade) for shade in range(MOST_IN_CONTEXT)))
    told = context_of([many, REPLY], "And this?", None, 200_000, None, images=(image_of(png()).reference,))
    assert [len(one.images) for one in told] == [1]
    with pytest.raises(TooManyImages):
        brought(tuple(turns_of([many, shows(png())])), None)


def test_a_model_that_sees_nothing_reads_the_words_alone() -> None:
    told = context_of([shows(png()), REPLY], "And this?", None, 8192, None, sees=False)
    assert [(one.role, one.images) for one in told] == [("user", ()), ("assistant", ()), ("user", ())]


def test_a_question_asked_again_keeps_the_images_of_both() -> None:
    first, second = image_of(png()).reference, image_of(png(shade=1)).reference
    (told,) = context_of([shows(png())], "And this?", None, 8192, None, images=(second,))
    assert told.images == (first, second)
