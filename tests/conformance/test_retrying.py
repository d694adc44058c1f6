"""What a client may do later, it does later by itself: when it was told to, and not sooner."""

import time

import pytest

from tests.conformance.accounts import Account
from tests.conformance.clients import Raised, those_that
from tests.conformance.using import Using, question

SLACK = 0.05
"""Seconds between the platform's clock and ours."""


@pytest.mark.parametrize("using", those_that("answer", api="openai"), indirect=True)
async def test_a_client_that_asked_too_much_asks_again_when_it_was_told_to(using: Using, edge: str) -> None:
    account = await Account.opens(edge)
    asked = question()
    wait = await account.spends_its_allowance()
    began = time.monotonic()
    assert asked in await using.client.does("answer", model="small", question=asked, key=account.key)
    assert time.monotonic() - began > wait - SLACK
    await account.leaves()


@pytest.mark.parametrize("using", those_that("answer", api="ollama"), indirect=True)
async def test_a_client_that_never_tries_again_says_why(using: Using, edge: str) -> None:
    account = await Account.opens(edge)
    await account.spends_its_allowance()
    with pytest.raises(Raised) as raised:
        await using.client.does("answer", model="small", question=question(), key=account.key)
    assert raised.value.status == 429
    assert raised.value.words
    await account.leaves()
