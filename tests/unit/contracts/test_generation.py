"""The one encoding of a stream event."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.generation import (
    Accepted,
    Completed,
    Failed,
    Started,
    Timings,
    Token,
    Usage,
    decode,
    encode,
    encode_text,
    frame,
    is_terminal,
    name_of,
)


@given(st.text())
def test_any_text_survives_encoding_and_is_one_line(text: str) -> None:
    try:
        text.encode()
    except UnicodeEncodeError:
        return
    encoded = encode(Token(text=text))
    assert decode(encoded) == Token(text=text)
    assert encoded == encode_text("token", text)
    assert len(encoded.decode().splitlines()) == 1


def test_a_frame_cuts_name_and_data_out_of_the_encoding() -> None:
    encoded = encode(Started(attempt=1, model="small", backend="a"))
    assert frame("7-1", encoded) == (b'id: 7-1\nevent: started\ndata: {"attempt":1,"model":"small","backend":"a"}\n\n')
    assert frame(None, encoded).startswith(b"event: started\n")


@pytest.mark.parametrize(
    ("event", "ends"),
    [
        (Accepted(generation_id="g", chat_id="c", message_id="m", reply_id="r", model="small"), False),
        (Completed(finish_reason="stop", usage=Usage(), timings=Timings()), True),
        (Failed(code="backend_cut", message="It ended early.", retryable=True), True),
    ],
)
def test_only_terminal_events_end_a_stream(event, ends: bool) -> None:
    assert is_terminal(encode(event)) is ends
    assert name_of(encode(event)) == event.event
