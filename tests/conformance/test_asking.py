"""Models and answers, as each client sees them, and as the platform keeps them."""

import pytest

from tests.conformance.clients import those_that
from tests.conformance.using import Using, question
from tests.e2e.compositions import Platform
from tests.eventually import eventually


def plain(name: str) -> str:
    return name.removesuffix(":latest")


@pytest.mark.parametrize("using", those_that("models"), indirect=True)
async def test_models_are_listed(using: Using) -> None:
    shown = (await using.account.http.get("/api/models", params={"limit": 100})).json()["items"]
    if using.client.name == "llm-ollama":  # it has another list for models that do not chat
        shown = [one for one in shown if "chat" in one["capabilities"]]
    assert {plain(one) for one in await using.client.does("models")} == {one["name"] for one in shown}


@pytest.mark.parametrize("using", those_that("model", api="openai"), indirect=True)
async def test_one_model_is_shown(using: Using) -> None:
    assert await using.client.does("model", name="small") == "small"


@pytest.mark.parametrize("using", those_that("model", api="ollama"), indirect=True)
async def test_one_model_is_shown_with_what_it_can_do(using: Using) -> None:
    assert await using.client.does("model", name="caller") == ["completion", "tools"]


@pytest.mark.parametrize("using", those_that("running"), indirect=True)
async def test_a_model_that_was_asked_is_in_memory(using: Using) -> None:
    await using.client.does("answer", model="fast", question=question())

    async def told() -> bool:
        return "fast" in {plain(one) for one in await using.client.does("running")}

    await eventually(told, 15)  # back-ends are looked at every five seconds


@pytest.mark.parametrize("using", those_that("answer"), indirect=True)
async def test_a_whole_answer_is_the_recorded_one(using: Using) -> None:
    asked = question()
    told = await using.client.does("answer", model="small", question=asked)
    assert told == f"[1 messages] You said: {asked}"
    reply = await using.account.reply(asked)
    assert (reply["content"], reply["status"]) == (told, "complete")


@pytest.mark.parametrize("using", those_that("stream"), indirect=True)
async def test_a_streamed_answer_comes_in_pieces_and_is_the_recorded_one(using: Using) -> None:
    asked = question()
    pieces = await using.client.says("stream", model="small", question=asked)
    assert len(pieces) >= 5
    reply = await using.account.reply(asked)
    assert (reply["content"], reply["status"]) == ("".join(pieces), "complete")


@pytest.mark.parametrize("using", those_that("generate", "generate_stream"), indirect=True)
async def test_a_prompt_is_answered_whole_and_in_pieces(using: Using) -> None:
    asked = question()
    expected = f"[1 messages] You said: {asked}"
    assert await using.client.does("generate", model="small", question=asked) == expected
    pieces = await using.client.says("generate_stream", model="small", question=asked)
    assert (len(pieces) >= 5, "".join(pieces)) == (True, expected)
    assert (await using.account.reply(asked))["content"] == expected


@pytest.mark.parametrize("using", those_that("talk"), indirect=True)
async def test_the_model_reads_the_whole_conversation(using: Using, platform: Platform) -> None:
    asked = question("And mine?")
    turns = [("system", "Be brief."), ("user", "My number is 7."), ("assistant", "Noted."), ("user", asked)]
    assert await using.client.does("talk", model="small", turns=turns) == f"[4 messages] You said: {asked}"
    (call,) = [one for one in platform.calls() if one["messages"][-1]["content"] == asked]  # type: ignore[index]
    assert [(one["role"], one["content"]) for one in call["messages"]] == turns  # type: ignore[attr-defined]


@pytest.mark.parametrize("using", those_that("usage"), indirect=True)
async def test_tokens_are_told_whole_and_at_the_end_of_a_stream(using: Using) -> None:
    asked = question()
    told = await using.client.does("usage", model="fast", question=asked)
    usage = (await using.account.reply(asked))["usage"]
    assert told == [[usage["input_tokens"], usage["output_tokens"]]] * 2
    assert usage["output_tokens"] == 64


@pytest.mark.parametrize("using", those_that("limit"), indirect=True)
async def test_an_answer_is_as_long_as_it_may_be(using: Using) -> None:
    assert await using.client.does("limit", model="fast", question=question()) == ["0 1 2 ", "length"]


@pytest.mark.parametrize("using", those_that("think"), indirect=True)
async def test_thinking_is_told_apart(using: Using) -> None:
    asked = question()
    told = await using.client.does("think", model="thinker", question=asked)
    assert told == ["Let me think.", f"[1 messages] You said: {asked}"]
