"""Tools that a model calls, and answers in a format."""

import pytest

from tests.conformance.clients import those_that
from tests.conformance.using import Using, question

CALLED = {"city": "text"}
FORECAST = {"city": "text", "degrees": 1}


@pytest.mark.parametrize("using", those_that("tool"), indirect=True)
async def test_a_tool_is_called_and_its_answer_read(using: Using) -> None:
    told = await using.client.does("tool", model="caller", question=question("How is the weather?"))
    assert told == ["weather", CALLED, "[3 messages] You said: It rains."]


@pytest.mark.parametrize("using", those_that("tool_stream"), indirect=True)
async def test_a_tool_is_called_in_a_stream(using: Using) -> None:
    told = await using.client.does("tool_stream", model="caller", question=question("How is the weather?"))
    assert told == ["weather", CALLED]


@pytest.mark.parametrize("using", those_that("structured"), indirect=True)
async def test_an_answer_of_a_schema_is_parsed(using: Using) -> None:
    assert await using.client.does("structured", model="formal", question=question()) == FORECAST


@pytest.mark.parametrize("using", those_that("any_json"), indirect=True)
async def test_any_json_is_json(using: Using) -> None:
    assert await using.client.does("any_json", model="formal", question=question()) == {"said": "text"}
