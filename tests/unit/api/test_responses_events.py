"""What a log becomes as a Responses stream: the same numbers for everybody, and exactly the rest after each."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from api.projections.responses_events import BITS, ResponseEvents
from contracts.commands import Question
from contracts.events import accepted
from contracts.generation import (
    Cancelled,
    Completed,
    Failed,
    GenerationEvent,
    Queued,
    Restarted,
    Started,
    Thinking,
    Timings,
    Token,
    ToolCall,
    Usage,
    encode,
)
from contracts.ids import moment_of, new_id
from contracts.ports.streams import LogEvent

IDENTITY = new_id()
ASKED = Question(
    generation_id=IDENTITY, owner=new_id(), chat_id=new_id(), message_id=new_id(), reply_id=new_id(), content="Why?",
    model="small", asked_at=datetime.now(UTC),
)  # fmt: skip
START = Started(attempt=1, model="small", backend="one")
AGAIN = Restarted(attempt=2, reason="worker_lost")
END = Completed(finish_reason="stop", usage=Usage(input_tokens=1, output_tokens=2), timings=Timings())
CALL = ToolCall(id="c1", name="f", arguments={"x": 1})
WHOLE: tuple[GenerationEvent, ...] = (
    accepted(ASKED), START, Thinking(text="Hm"), Thinking(text="."), Token(text="Be"), Token(text="cause."), CALL, END,
)  # fmt: skip
TWICE: tuple[GenerationEvent, ...] = (
    accepted(ASKED), START, Token(text="Wr"), Token(text="ong"), START, AGAIN, Token(text="Ri"), Token(text="ght."), END,
)  # fmt: skip


def log(events: tuple[GenerationEvent, ...], *, born_after: float = 0.0) -> list[LogEvent]:
    """A log of these events, born that many seconds after its question."""
    epoch = (moment_of(IDENTITY) + int(born_after * 1000)) * 1024 + 7
    return [LogEvent(f"{epoch}-{seq}", encode(one)) for seq, one in enumerate(events)]


def parsed(raw: bytes) -> list[dict[str, Any]]:
    return [json.loads(one.split(b"data: ", 1)[1]) for one in raw.split(b"\n\n")[:-1]]


def told(*batches: list[LogEvent], after: int | None = None) -> list[dict[str, Any]]:
    stream = ResponseEvents(ASKED, after)
    return parsed(b"".join(stream.tells(one) for one in batches))


def one_by_one(events: list[LogEvent]) -> list[list[LogEvent]]:
    return [[one] for one in events]


def names(events: list[dict[str, Any]]) -> list[str]:
    return [one["type"].removeprefix("response.") for one in events]


def test_every_event_of_a_whole_reply() -> None:
    events = told(log(WHOLE))
    assert names(events) == [
        "created", "in_progress",
        "output_item.added", "content_part.added", "reasoning_text.delta", "reasoning_text.delta",
        "reasoning_text.done", "content_part.done", "output_item.done",
        "output_item.added", "content_part.added", "output_text.delta", "output_text.delta",
        "output_text.done", "content_part.done", "output_item.done",
        "output_item.added", "function_call_arguments.delta", "function_call_arguments.done", "output_item.done",
        "completed",
    ]  # fmt: skip
    assert [one["sequence_number"] for one in events] == list(range(len(events)))
    done = [one["item"] for one in events if one["type"] == "response.output_item.done"]
    assert events[-1]["response"]["output"] == done
    assert [one["type"] for one in done] == ["reasoning", "message", "function_call"]
    assert done[0]["content"] == [{"type": "reasoning_text", "text": "Hm."}]
    assert done[1]["content"][0]["text"] == "Because."
    assert (done[2]["call_id"], done[2]["name"], done[2]["arguments"]) == ("c1", "f", '{"x":1}')
    assert {one["output_index"] for one in events if "output_index" in one} == {0, 1, 2}
    assert events[-1]["response"]["usage"]["total_tokens"] == 3


@pytest.mark.parametrize("events", [WHOLE, TWICE[6:], TWICE], ids=["whole", "without a start", "begun anew"])
def test_what_comes_does_not_depend_on_how_it_comes(events: tuple[GenerationEvent, ...]) -> None:
    whole = log(events)
    at_once = told(whole)
    for cut in range(len(whole)):
        if events is not TWICE or cut >= 6:
            assert told(whole[:cut], whole[cut:]) == at_once


def test_after_each_number_comes_exactly_the_rest() -> None:
    whole = log(WHOLE)
    everything = told(whole)
    for number in range(len(everything) - 1):
        rest = everything[number + 1 :]
        assert told(whole, after=number) == rest
        assert told(*one_by_one(whole), after=number) == rest
    for number in (len(everything) - 1, len(everything) + 50):
        assert told(whole, after=number) == everything[-1:]


def test_a_place_in_the_queue_has_no_number() -> None:
    first, *rest = log(WHOLE)
    waiting = LogEvent(None, encode(Queued(position=3, eta_ms=None)))
    assert told([first], [waiting], [waiting], rest) == told(log(WHOLE))


def test_what_began_anew_before_it_was_told_is_not_told_and_its_numbers_are_left_out() -> None:
    events = told(log(TWICE))
    assert names(events)[:4] == ["created", "in_progress", "output_item.added", "content_part.added"]
    assert "".join(one["delta"] for one in events if "delta" in one) == "Right."
    numbers = [one["sequence_number"] for one in events]
    assert numbers == sorted(set(numbers))
    assert numbers[2] == 2 + 4 + 1  # four of the void item and one for the restart


def test_what_began_anew_after_it_was_told_is_an_error_after_which_the_new_text_comes() -> None:
    whole = log(TWICE)
    live = told(*one_by_one(whole))
    assert names(live)[-1] == "error"
    assert live[-1]["error"]["code"] == live[-1]["code"] == "restarted"
    assert "".join(one["delta"] for one in live if "delta" in one) == "Wrong"
    anew = told(whole, after=live[-1]["sequence_number"])
    assert anew == told(whole)[2:]


def test_after_no_number_is_void_text_joined_to_the_new_one() -> None:
    whole = log(TWICE)
    live, fresh = told(*one_by_one(whole)), told(whole)
    for number in [one["sequence_number"] for one in live[:-1]]:
        rest = told(whole, after=number)
        if number <= 1:  # no text was seen
            assert rest == fresh[number + 1 :]
        else:
            assert rest == live[-1:]
    for at, event in enumerate(fresh[:-1]):
        if at >= 2:
            assert told(whole, after=event["sequence_number"]) == fresh[at + 1 :]


def test_numbers_of_a_lost_log_are_not_those_of_the_one_that_took_its_place() -> None:
    other = log(TWICE[:2] + TWICE[6:], born_after=12.5)
    fresh = told(other)
    assert [one["sequence_number"] for one in fresh] == [(12 << BITS) + at for at in range(len(fresh))]
    for number in (2, 5, 2000):
        (error,) = told(other, after=number)
        assert error["code"] == "restarted"
        assert told(other, after=error["sequence_number"]) == fresh[1:]
    for number in (0, 1):  # no text was seen
        assert told(other, after=number) == fresh


def test_a_log_that_is_lost_under_a_follower() -> None:
    whole, other = log(WHOLE), log(WHOLE, born_after=3)
    lost = LogEvent(None, encode(Restarted(attempt=1, reason="log_lost")))
    told_nothing = told(whole[:2], [lost, *other])
    assert told_nothing[2:] == told(other)
    told_text = told(whole[:5], [lost, *other])
    assert names(told_text)[-1] == "error"
    assert told_text[-1]["sequence_number"] == told_text[-2]["sequence_number"]


def kept(end: GenerationEvent = END) -> list[LogEvent]:
    """What the store tells of a reply whose log is gone."""
    events = (accepted(ASKED), Token(text="Because."), end)
    return [LogEvent(None, encode(one)) for one in events]


def test_an_expired_log_is_told_whole() -> None:
    events = told(kept())
    assert "".join(one["delta"] for one in events if "delta" in one) == "Because."
    assert [one["sequence_number"] for one in events] == list(range(len(events)))
    assert told(kept(), after=0) == events[1:]


@pytest.mark.parametrize("after", [2, 7, 5000, (9 << BITS) + 4])
def test_the_rest_of_an_expired_log_is_its_end_with_all_of_it(after: int) -> None:
    (end,) = told(kept(), after=after)
    assert end["type"] == "response.completed"
    assert end["sequence_number"] > after
    assert end["response"]["output"][0]["content"][0]["text"] == "Because."


@pytest.mark.parametrize(
    ("end", "name", "status", "item"),
    [
        (END, "completed", "completed", "completed"),
        (END.model_copy(update={"finish_reason": "length"}), "incomplete", "incomplete", "incomplete"),
        (Cancelled(usage=Usage()), "incomplete", "cancelled", "incomplete"),
        (Failed(code="backend_cut", message="It broke.", retryable=True), "failed", "failed", "incomplete"),
    ],
    ids=["stop", "length", "cancelled", "failed"],
)
def test_ends(end: GenerationEvent, name: str, status: str, item: str) -> None:
    for events in (log((*WHOLE[:2], Token(text="Half"), end)), kept(end)):
        last = told(events)[-1]
        assert last["type"] == f"response.{name}"
        assert last["response"]["status"] == status
        assert last["response"]["output"][0]["status"] == item


def test_an_end_that_comes_alone_is_a_stream_too() -> None:
    gone = LogEvent(None, encode(Failed(code="log_lost", message="Lost.", retryable=True)))
    assert names(told([gone])) == ["created", "failed"]


def test_lines_that_some_clients_split_are_escaped() -> None:
    raw = ResponseEvents(ASKED).tells(log((*WHOLE[:2], Token(text="a\u2028b\u0085\n\nc"))))
    assert len(raw.decode().splitlines()) == raw.count(b"\n")
    assert parsed(raw)[-1]["delta"] == "a\u2028b\u0085\n\nc"


def test_turns_of_thinking_and_text_are_items_of_their_own() -> None:
    mixed = (*WHOLE[:2], Token(text="A"), Thinking(text="B"), Token(text="C"), CALL, Token(text=""), CALL, END)
    end = told(log(mixed))[-1]
    ids = [one["id"].replace(ASKED.reply_id, "r") for one in end["response"]["output"]]
    assert ids == ["msg_r", "rs_r", "msg_r_1", "fc_r_0", "fc_r_1"]
