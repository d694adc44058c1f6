"""A recorded reply as a stream."""

from datetime import UTC, datetime

import pytest

from api.recorded import recorded_events
from contracts.events import ReplyCancelled, ReplyCompleted, ReplyFailed, terminal_event
from contracts.generation import Restarted, Timings, ToolCallData, Usage, decode
from contracts.recording import message_of_outcome
from contracts.records import Message
from tests.factories import question

ASKED = question()
SHARED = {
    "question": ASKED, "text": "Blue.", "attempt": 2, "usage": Usage(input_tokens=1, output_tokens=2),
    "timings": Timings(total_ms=9), "ended_at": datetime.now(UTC), "last_event_id": "7-9",
}  # fmt: skip
WHOLE = ReplyCompleted.model_validate({**SHARED, "finish_reason": "length"})
OUTCOMES = [
    WHOLE,
    ReplyCancelled.model_validate(SHARED),
    ReplyFailed.model_validate({**SHARED, "code": "backend_cut", "message": "Gone.", "retryable": True}),
]


def names(message: Message, after: str | None) -> list[tuple[str, str | None]]:
    return [(decode(one.encoded).event, one.id) for one in recorded_events(message, after)]


@pytest.mark.parametrize("outcome", OUTCOMES)
def test_the_end_is_the_one_that_followers_saw(outcome: ReplyCompleted | ReplyCancelled | ReplyFailed) -> None:
    end = recorded_events(message_of_outcome(outcome), outcome.last_event_id)[-1]
    assert decode(end.encoded) == terminal_event(outcome)


def test_from_the_start_it_is_accepted_the_text_and_the_end() -> None:
    message = message_of_outcome(WHOLE)
    assert names(message, None) == [("accepted", None), ("token", None), ("completed", "7-9")]
    accepted = decode(recorded_events(message, None)[0].encoded)
    assert accepted.model_dump() == {
        "generation_id": ASKED.generation_id, "chat_id": ASKED.chat_id, "message_id": ASKED.message_id,
        "reply_id": ASKED.reply_id, "model": ASKED.model,
    }  # fmt: skip


def test_after_its_last_id_it_is_the_end_alone() -> None:
    assert names(message_of_outcome(WHOLE), "7-9") == [("completed", "7-9")]


@pytest.mark.parametrize("after", ["7-8", "7-10", "nonsense", ""])
def test_after_any_other_id_what_was_shown_is_void(after: str) -> None:
    message = message_of_outcome(WHOLE)
    assert names(message, after) == [("restarted", None), ("token", None), ("completed", "7-9")]
    assert decode(recorded_events(message, after)[0].encoded) == Restarted(attempt=2, reason="log_lost")


def test_thinking_and_calls_are_told_too() -> None:
    call = ToolCallData(id="1", name="look", arguments={"at": "sky"})
    message = message_of_outcome(WHOLE.model_copy(update={"thinking": "Hm.", "tool_calls": (call,)}))
    assert [one for one, _ in names(message, None)] == ["accepted", "thinking", "token", "tool_call", "completed"]


def test_a_reply_without_text_has_no_token() -> None:
    message = message_of_outcome(OUTCOMES[2].model_copy(update={"text": "", "attempt": 0}))
    assert names(message, None) == [("accepted", None), ("failed", "7-9")]
    assert decode(recorded_events(message, "x")[0].encoded) == Restarted(attempt=1, reason="log_lost")


def test_a_record_without_an_id_is_not_resumed_by_nothing() -> None:
    message = message_of_outcome(WHOLE.model_copy(update={"last_event_id": None}))
    assert names(message, None)[-1] == ("completed", None)
    assert names(message, "7-9")[0] == ("restarted", None)
