"""CloudEvents in binary mode: the attributes are AMQP headers, the body is the message alone."""

import re

import pytest
from opentelemetry import context, trace

from contracts.commands import RefreshCatalog
from contracts.envelope import CONTENT_TYPE, MESSAGES, PREFIX, from_headers, handling, parse, to_headers, wrap
from contracts.ids import is_id
from contracts.published import HEADERS, examples, schema

TYPES = sorted(MESSAGES)
GOLDEN = examples(HEADERS)[0]
ATTRIBUTES = {
    "specversion", "id", "source", "type", "time", "subject", "traceparent", "correlationid", "causationid",
}  # fmt: skip
TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"


def message(name: str):
    return MESSAGES[name].model_validate(examples(name)[0])


@pytest.fixture
def traced():
    """A sampled span of that trace is current."""
    span = trace.NonRecordingSpan(
        trace.SpanContext(int(TRACE, 16), 0x00F067AA0BA902B7, is_remote=True, trace_flags=trace.TraceFlags(1))
    )
    token = context.attach(trace.set_span_in_context(span))
    yield
    context.detach(token)


def test_the_golden_headers_are_read_and_written_as_they_stand() -> None:
    envelope = from_headers(GOLDEN)
    assert to_headers(envelope) == GOLDEN
    assert from_headers({name: str(value).encode() for name, value in GOLDEN.items()}) == envelope
    assert from_headers(GOLDEN | {"x-delivery-count": 2, f"{PREFIX}later": "x"}) == envelope


def test_the_golden_headers_hold_every_attribute_and_no_other() -> None:
    assert PREFIX == "cloudEvents_"
    assert set(GOLDEN) == {PREFIX + name for name in ATTRIBUTES}
    assert set(schema(HEADERS)["properties"]) == set(GOLDEN)  # type: ignore[call-overload]
    assert GOLDEN["cloudEvents_specversion"] == "1.0"
    assert CONTENT_TYPE == "application/json"


def test_the_golden_id_is_what_publishing_that_outcome_gives() -> None:
    outcome = message(str(GOLDEN["cloudEvents_type"]))
    assert wrap(outcome, "/inference/worker-1").id == GOLDEN["cloudEvents_id"]
    assert outcome.subject == GOLDEN["cloudEvents_subject"]


@pytest.mark.parametrize("name", TYPES)
def test_every_message_travels_under_a_full_set_of_headers(name: str, traced: None) -> None:
    cause = wrap(message("net.ollamanet.GenerateReply.v1"), "/edge/1")
    with handling(cause):
        headers = to_headers(wrap(message(name), "/history/1"))
    assert set(headers) == set(GOLDEN)
    assert headers["cloudEvents_type"] == name
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z", headers["cloudEvents_time"])
    assert headers["cloudEvents_traceparent"].split("-")[1] == TRACE
    assert (headers["cloudEvents_correlationid"], headers["cloudEvents_causationid"]) == (cause.correlationid, cause.id)


@pytest.mark.parametrize("name", TYPES)
def test_the_body_is_the_message_alone(name: str) -> None:
    published = message(name)
    assert parse(wrap(published, "/edge/1"), published.model_dump_json().encode()) == published


@pytest.mark.parametrize("name", [one for one in TYPES if one != RefreshCatalog.type])
def test_publishing_twice_gives_the_same_id(name: str) -> None:
    first, second = wrap(message(name), "/a"), wrap(message(name), "/b")
    assert first.id == second.id
    assert is_id(first.id)


def test_each_order_to_refresh_is_an_order_of_its_own() -> None:
    assert wrap(RefreshCatalog(), "/a").id != wrap(RefreshCatalog(), "/a").id


def test_no_two_messages_about_one_subject_share_an_id() -> None:
    examples_of_all = [message(name) for name in TYPES]
    assert len({wrap(one, "/a").id for one in examples_of_all}) == len(TYPES)


@pytest.mark.parametrize("name", TYPES)
def test_a_type_ends_in_its_major_version(name: str) -> None:
    assert re.fullmatch(r"net\.ollamanet(\.internal)?\.[A-Z][A-Za-z]+\.v[1-9]\d*", name)


def test_internal_and_public_types_differ() -> None:
    inside = {name for name in TYPES if ".internal." in name}
    told_to_developers = {name.replace(".internal.", ".") for name in inside} & set(TYPES)
    assert {name.rsplit(".", 2)[1] for name in told_to_developers} == {
        "ReplyCompleted",
        "ReplyFailed",
        "ReplyCancelled",
    }
    assert all(
        MESSAGES[name] is not MESSAGES[name.replace(".internal.", ".")]
        for name in inside
        if name.replace(".internal.", ".") in MESSAGES
    )
