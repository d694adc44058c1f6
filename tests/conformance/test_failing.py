"""Answers that break off, which no client may take for whole ones."""

import pytest

from tests.conformance.clients import Raised, those_that
from tests.conformance.using import Using, question

IN_MID_STREAM = {
    "openai-python": "APIError",
    "openai-node": "APIError",
    "langchain-openai": "APIError",
    "llm": "APIError",
    "ai-sdk": "Object",
    **dict.fromkeys(("ollama-python", "langchain-ollama", "llm-ollama"), "ResponseError"),
    "ollama-js": "Error",
}
"""The class that each raises; the AI SDK hands on the object that it was sent."""
STREAM_ALWAYS = {"langchain-ollama"}
"""Even for a whole answer, so that the status is sent before anything can fail."""


@pytest.mark.parametrize("using", those_that("stream"), indirect=True)
async def test_a_back_end_that_fails_in_mid_stream_is_an_error_of_the_clients_own(using: Using) -> None:
    asked = question()
    call = using.client.call("stream", model="error", question=asked)
    with pytest.raises(Raised) as raised:
        await call.ends()
    assert IN_MID_STREAM[using.client.name] in raised.value.kinds, raised.value
    assert call.said
    assert (await using.account.reply(asked))["status"] in (
        "failed",
        "cancelled",
    )  # as it stood when the client had enough


@pytest.mark.parametrize("using", [one for one in those_that("answer") if one != "ai-sdk"], indirect=True)
async def test_a_back_end_that_refuses_is_an_error_with_a_status(using: Using) -> None:
    """Without the AI SDK, which tries every 502 three times within 6 s, whatever it is told."""
    with pytest.raises(Raised) as raised:
        await using.client.does("answer", model="refuse", question=question())
    assert IN_MID_STREAM[using.client.name] in raised.value.kinds, raised.value
    assert raised.value.status == (None if using.client.name in STREAM_ALWAYS else 502), raised.value


@pytest.mark.parametrize("using", those_that("answer"), indirect=True)
async def test_a_back_end_that_fails_first_is_no_matter(using: Using) -> None:
    asked = question()
    assert asked in await using.client.does("answer", model="flaky", question=asked)
