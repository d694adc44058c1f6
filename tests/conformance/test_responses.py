"""OpenAI's Responses, as its clients use them."""

import pytest

from tests.conformance.clients import Raised, those_that
from tests.conformance.relay import shredding
from tests.conformance.test_cancelling import is_given_up
from tests.conformance.test_tools_and_formats import CALLED, FORECAST
from tests.conformance.test_unicode import HARD
from tests.conformance.using import Using, question
from tests.e2e.compositions import Platform


@pytest.mark.parametrize("using", those_that("respond"), indirect=True)
async def test_a_whole_answer_is_the_recorded_one(using: Using) -> None:
    asked = question()
    expected = f"[1 messages] You said: {asked}"
    assert await using.client.does("respond", model="small", question=asked) == ["completed", expected]
    assert (await using.account.reply(asked))["content"] == expected


@pytest.mark.parametrize("using", those_that("respond_stream"), indirect=True)
async def test_a_streamed_answer_comes_in_pieces_and_is_the_recorded_one(using: Using) -> None:
    asked = question()
    pieces = await using.client.says("respond_stream", model="small", question=asked)
    assert len(pieces) >= 5
    assert (await using.account.reply(asked))["content"] == "".join(pieces)


@pytest.mark.parametrize("using", those_that("respond_whole_stream"), indirect=True)
async def test_a_clients_own_gathering_of_a_stream_is_whole(using: Using) -> None:
    asked = question()
    told = await using.client.does("respond_whole_stream", model="small", question=asked)
    assert told == ["completed", f"[1 messages] You said: {asked}"]


@pytest.mark.parametrize("using", those_that("respond_stream"), indirect=True)
async def test_every_character_arrives_whole(using: Using, edge: str) -> None:
    asked = question(HARD)
    async with shredding(edge) as relay:
        url = using.client.kind.at(relay)
        pieces = await using.client.says("respond_stream", model="letters", question=asked, url=url)
    assert "".join(pieces) == asked


@pytest.mark.parametrize("using", those_that("respond_usage"), indirect=True)
async def test_tokens_are_told(using: Using) -> None:
    asked = question()
    told = await using.client.does("respond_usage", model="fast", question=asked)
    usage = (await using.account.reply(asked))["usage"]
    assert told == [usage["input_tokens"], usage["output_tokens"]]


@pytest.mark.parametrize("using", those_that("respond_limit"), indirect=True)
async def test_an_answer_that_is_as_long_as_it_may_be_is_incomplete(using: Using) -> None:
    told = await using.client.does("respond_limit", model="fast", question=question())
    assert told == ["0 1 2 ", "incomplete", "max_output_tokens"]


@pytest.mark.parametrize("using", those_that("respond_tool"), indirect=True)
async def test_a_tool_is_called_and_its_answer_read(using: Using) -> None:
    told = await using.client.does("respond_tool", model="caller", question=question("How is the weather?"))
    assert told == ["weather", CALLED, "[3 messages] You said: It rains."]


@pytest.mark.parametrize("using", those_that("respond_structured"), indirect=True)
async def test_an_answer_of_a_schema_is_parsed(using: Using) -> None:
    assert await using.client.does("respond_structured", model="formal", question=question()) == FORECAST


@pytest.mark.parametrize("using", those_that("respond_after"), indirect=True)
async def test_a_response_goes_on_from_an_earlier_one(using: Using) -> None:
    asked = question("And mine?")
    told = await using.client.does("respond_after", model="small", first=question("My number is 7."), question=asked)
    assert told == f"[3 messages] You said: {asked}"


@pytest.mark.parametrize("using", those_that("respond_background"), indirect=True)
async def test_a_response_in_the_background_is_had_when_it_is_done(using: Using) -> None:
    asked = question()
    told = await using.client.does("respond_background", model="small", question=asked)
    assert told == ["completed", f"[1 messages] You said: {asked}"]


@pytest.mark.parametrize("using", those_that("respond_resume"), indirect=True)
async def test_a_response_in_the_background_is_followed_on_from_where_it_was_left(using: Using) -> None:
    asked = question()
    pieces = await using.client.says("respond_resume", model="small", question=asked)
    assert "".join(pieces) == f"[1 messages] You said: {asked}"


@pytest.mark.parametrize("using", those_that("respond_cancel"), indirect=True)
async def test_a_response_in_the_background_is_cancelled(using: Using, platform: Platform) -> None:
    asked = question("Count.")
    assert await using.client.does("respond_cancel", model="slow", question=asked) == "cancelled"
    assert (await using.account.reply(asked))["status"] == "cancelled"


@pytest.mark.parametrize("using", those_that("respond_leave"), indirect=True)
async def test_a_stream_that_is_left_is_cancelled(using: Using, platform: Platform) -> None:
    asked = question("Count.")
    assert await using.client.says("respond_leave", model="slow", question=asked)
    await is_given_up(using, platform, asked)


@pytest.mark.parametrize("using", those_that("respond"), indirect=True)
@pytest.mark.parametrize(
    ("given", "kind", "status"),
    [
        pytest.param({"model": "nobody"}, "NotFoundError", 404, id="unknown-model"),
        pytest.param({"key": "on_nothing"}, "AuthenticationError", 401, id="bad-key"),
    ],
)
async def test_what_is_refused(using: Using, given: dict[str, str], kind: str, status: int) -> None:
    with pytest.raises(Raised) as raised:
        await using.client.does("respond", **{"model": "small", "question": question(), **given})
    assert kind in raised.value.kinds, raised.value
    assert raised.value.status == status


@pytest.mark.parametrize("using", those_that("respond_stream"), indirect=True)
async def test_a_back_end_that_fails_in_mid_stream_is_an_error(using: Using) -> None:
    asked = question()
    call = using.client.call("respond_stream", model="error", question=asked)
    with pytest.raises(Raised):
        await call.ends()
    assert call.said
