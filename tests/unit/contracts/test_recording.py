"""From an outcome to the record of its reply, and back."""

from datetime import UTC, datetime

import pytest

from contracts.events import Outcome, ReplyCancelled, ReplyCompleted, ReplyFailed, terminal_event
from contracts.generation import Timings, ToolCallData, Usage
from contracts.public import public_of
from contracts.recording import message_of_outcome, outcome_of
from tests.factories import question

SHARED = {
    "question": question(), "text": "Blue.", "thinking": "Hm.", "attempt": 2, "backend": "gpu-1", "last_event_id": "7-9",
    "tool_calls": (ToolCallData(id="1", name="look", arguments={"at": "sky"}),), "usage": Usage(input_tokens=1, output_tokens=2),
    "timings": Timings(total_ms=9), "ended_at": datetime.now(UTC),
}  # fmt: skip
OUTCOMES = [
    ReplyCompleted.model_validate({**SHARED, "finish_reason": "length"}),
    ReplyCancelled.model_validate(SHARED),
    ReplyFailed.model_validate({**SHARED, "code": "backend_cut", "message": "Gone.", "retryable": True}),
    ReplyFailed(question=question(), code="expired", message="Too late.", ended_at=datetime.now(UTC)),
]


@pytest.mark.parametrize("outcome", OUTCOMES)
def test_with_its_question_a_record_gives_the_outcome_that_it_came_from(outcome: Outcome) -> None:
    assert outcome_of(message_of_outcome(outcome), outcome.question) == outcome


@pytest.mark.parametrize("outcome", OUTCOMES)
def test_without_its_question_it_tells_followers_and_developers_the_same(outcome: Outcome) -> None:
    again = outcome_of(message_of_outcome(outcome))
    assert terminal_event(again) == terminal_event(outcome)
    assert public_of(again) == public_of(outcome)
