"""Clients that hang up: the generation ends cancelled, and the back-end is left alone."""

from typing import Any

import pytest

from tests.conformance.clients import Raised, those_that
from tests.conformance.using import Using, question
from tests.e2e.compositions import Platform
from tests.eventually import eventually

WHOLE = 400
"""Tokens that the slow model would say in twenty seconds."""


def call_of(platform: Platform, asked: str) -> dict[str, Any]:
    (call,) = [one for one in platform.calls() if one["messages"][-1]["content"] == asked]  # type: ignore[index]
    return call


async def is_given_up(using: Using, platform: Platform, asked: str) -> None:
    reply = await using.account.reply(asked)
    assert reply["status"] == "cancelled"
    call = await eventually(lambda: ended if (ended := call_of(platform, asked))["ended"] else None)
    assert call["ended"] == "client_closed"
    assert call["tokens"] < WHOLE / 2


@pytest.mark.parametrize("using", those_that("leave"), indirect=True)
async def test_a_stream_that_is_left_is_cancelled(using: Using, platform: Platform) -> None:
    asked = question("Count.")
    assert await using.client.says("leave", model="slow", question=asked)
    await is_given_up(using, platform, asked)


@pytest.mark.parametrize("using", those_that("give_up"), indirect=True)
async def test_an_answer_that_nobody_waits_for_any_more_is_cancelled(using: Using, platform: Platform) -> None:
    asked = question("Count.")
    with pytest.raises(Raised):
        await using.client.does("give_up", model="stall", question=asked)
    await is_given_up(using, platform, asked)
