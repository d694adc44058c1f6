"""CloudEvents attributes around messages."""

import pytest

from contracts.envelope import (
    MOST_ATTRIBUTES,
    MOST_NAME,
    MOST_VALUE,
    attributes_of,
    from_headers,
    handling,
    parse,
    to_headers,
    wrap,
)
from contracts.errors import ContractViolated
from contracts.events import QuestionAsked
from contracts.public import public_of
from tests.factories import completed, generate_reply, question


def test_an_envelope_survives_its_headers() -> None:
    envelope = wrap(generate_reply(), source="/edge/1")
    headers = to_headers(envelope)
    assert headers["cloudEvents_specversion"] == "1.0"
    assert from_headers(headers) == envelope


def test_publishing_one_fact_twice_gives_one_id() -> None:
    outcome = completed(question())
    assert wrap(outcome, "/a").id == wrap(outcome, "/b").id
    assert wrap(outcome, "/a").id != wrap(public_of(outcome), "/a").id


def test_what_a_handler_publishes_is_caused_by_what_it_handles() -> None:
    cause = wrap(generate_reply(), "/edge/1")
    with handling(cause):
        effect = wrap(completed(question()), "/inference/1")
    assert (effect.causationid, effect.correlationid) == (cause.id, cause.correlationid)


def test_a_body_of_another_shape_violates_its_contract() -> None:
    envelope = wrap(QuestionAsked(question=question()), "/edge/1")
    with pytest.raises(ContractViolated):
        parse(envelope, b'{"question": 7}')
    with pytest.raises(ContractViolated):
        from_headers({"cloudEvents_id": "x"})


def test_public_events_hold_no_text() -> None:
    assert "Rayleigh" not in public_of(completed(question())).model_dump_json()


def test_attributes_are_read_whatever_they_hold() -> None:
    headers = {"cloudEvents_id": b"\xff1", "cloudEvents_a.b": {"x": [1]}, "cloudEvents_gone": None, "x-death": []}
    assert attributes_of(headers) == {"id": "\ufffd1", "a.b": "{'x': [1]}"}
    assert attributes_of({"id": 1, "type": None}, prefix="") == {"id": "1"}


def test_attributes_are_bounded() -> None:
    huge = {f"{number:03}" + "x" * 500: "y" * 10_000 for number in range(100)}
    read = attributes_of(huge, prefix="")
    assert len(read) == MOST_ATTRIBUTES
    assert {len(name) for name in read} == {MOST_NAME}
    assert {len(value) for value in read.values()} == {MOST_VALUE}
