"""What a log line holds, and what it never holds."""

import io
import logging
from collections.abc import Iterator

import orjson
import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st

from infra.process import logs
from infra.process.redaction import HIDDEN, redact


@pytest.fixture
def lines() -> Iterator[io.StringIO]:
    """A configured log; the test run's own handlers come back afterwards."""
    root = logging.getLogger()
    before, level = root.handlers[:], root.level
    written = io.StringIO()
    logs.configure("edge", "info", written)
    yield written
    root.handlers[:] = before
    root.setLevel(level)
    structlog.reset_defaults()


def read(written: io.StringIO) -> list[dict[str, object]]:
    return [orjson.loads(line) for line in written.getvalue().splitlines()]


def test_a_line_is_json_with_its_fields_and_what_was_bound(lines: io.StringIO) -> None:
    with structlog.contextvars.bound_contextvars(generation_id="g1"):
        structlog.get_logger().info("reply_completed", tokens=7)
    (event,) = read(lines)
    assert {k: event[k] for k in ("event", "level", "service", "tokens", "generation_id")} == {
        "event": "reply_completed", "level": "info", "service": "edge", "tokens": 7, "generation_id": "g1",
    }  # fmt: skip
    assert str(event["timestamp"]).endswith("Z")


def test_the_standard_librarys_logs_take_the_same_road(lines: io.StringIO) -> None:
    logging.getLogger("somebody").warning("lost %s", "amqp://me:hunter2@host/")
    (event,) = read(lines)
    assert (event["event"], event["level"]) == (f"lost amqp://{HIDDEN}@host/", "warning")


def test_the_level_keeps_quiet_what_is_below_it(lines: io.StringIO) -> None:
    structlog.get_logger().debug("unheard")
    logging.getLogger("somebody").debug("unheard")
    assert lines.getvalue() == ""


def test_an_exception_keeps_its_trace_and_loses_its_secrets(lines: io.StringIO) -> None:
    try:
        raise ValueError("Authorization: Bearer abc.def")
    except ValueError:
        structlog.get_logger().exception("failed")
    (event,) = read(lines)
    assert "ValueError" in str(event["exception"])
    assert "abc.def" not in str(event)


SECRET = st.text("abcdefgh0123456789", min_size=12)


@given(
    SECRET,
    st.sampled_from(["password", "refresh_token", "api_key", "Authorization", "new_password", "token", "cookie"]),
)
def test_a_secret_by_name_is_hidden_at_any_depth(secret: str, name: str) -> None:
    event = redact(None, "info", {"event": "x", name: secret, "body": {name: secret, "list": [{name: secret}]}})
    assert secret not in repr(event)


@given(SECRET)
def test_a_secret_inside_a_text_is_hidden(secret: str) -> None:
    texts = [
        f"redis://:{secret}@h",
        f"Bearer {secret}",
        f"-----BEGIN PRIVATE KEY-----\n{secret}\n-----END PRIVATE KEY-----",
    ]
    event = redact(None, "info", {"event": " ".join(texts)})
    assert secret not in event["event"]


def test_counts_of_tokens_stay() -> None:
    event = {"event": "x", "tokens": 7, "output_tokens": 3, "token_timeout": 60.0}
    assert redact(None, "info", dict(event)) == event
