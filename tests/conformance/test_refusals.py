"""What the platform refuses, as the error that each client has for it."""

import pytest

from tests.conformance.clients import LOOKS_FIRST, Raised, those_that
from tests.conformance.using import Using, question

OPENAI = {"unknown": "NotFoundError", "bad_key": "AuthenticationError", "wrong": "BadRequestError"}
ERRORS = {
    "openai-python": OPENAI,
    "openai-node": OPENAI,
    "langchain-openai": OPENAI,
    "llm": OPENAI,
    "ai-sdk": dict.fromkeys(OPENAI, "AI_APICallError"),
    **dict.fromkeys(
        ("ollama-python", "langchain-ollama", "llm-ollama", "ollama-js"), dict.fromkeys(OPENAI, "ResponseError")
    ),
}
"""The class that each raises."""
WRONG = {"llm": "logit_bias", "ollama-python": "top_k", "ollama-js": "top_k"}
"""The parameter that is wrong: some clients look at the others' values themselves."""

BLIND = [one for one in those_that("answer", "stream") if one not in LOOKS_FIRST]


async def refused(using: Using, why: str, status: int, call: str = "answer", **given: object) -> str:
    """The words of the error that the client raises."""
    with pytest.raises(Raised) as raised:
        await using.client.does(call, **{"model": "small", "question": question(), **given})
    told = raised.value
    assert ERRORS[using.client.name][why] in told.kinds, told
    assert told.status == status, told
    return told.words


@pytest.mark.parametrize("using", BLIND, indirect=True)
async def test_an_unknown_model(using: Using) -> None:
    assert "nobody" in await refused(using, "unknown", 404, model="nobody")


@pytest.mark.parametrize("using", BLIND, indirect=True)
async def test_an_unknown_model_of_a_stream(using: Using) -> None:
    assert "nobody" in await refused(using, "unknown", 404, "stream", model="nobody")


@pytest.mark.parametrize("using", those_that("answer"), indirect=True)
async def test_a_key_that_is_none(using: Using) -> None:
    assert await refused(using, "bad_key", 401, key="on_nothing")


@pytest.mark.parametrize("using", those_that("wrong"), indirect=True)
async def test_a_parameter_that_is_wrong_is_named(using: Using) -> None:
    assert WRONG.get(using.client.name, "temperature") in await refused(using, "wrong", 400, "wrong")
