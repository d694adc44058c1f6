"""What a client may do later, it does later by itself, as far as it ever tries again. That it waits as long as it is told: test_deaths."""

import urllib.request
from collections.abc import Callable

import pytest

from tests.conformance.accounts import Account
from tests.conformance.clients import Call, Raised, those_that
from tests.conformance.using import Using, question
from tests.e2e.compositions import Platform

REFUSED = 'route="/v1/chat/completions",status="429"'

TRIES = 10


def refused(platform: Platform) -> float:
    """Chat completions that were too much for the minute, so far."""
    url = f"http://127.0.0.1:{platform.environment['OLLAMANET_OPS_PORT']}/metrics"
    with urllib.request.urlopen(url, timeout=5) as response:
        lines = response.read().decode().splitlines()
    counts = [line for line in lines if line.startswith("ollamanet_edge_request_seconds_count") and REFUSED in line]
    return sum(float(line.split()[-1]) for line in counts)


async def asks_too_much(using: Using, account: Account, asked: str, refused: Callable[[], bool]) -> Call:
    """The client's call, which was refused at least once. A slow one may find a question left; then it calls again."""
    for _ in range(TRIES):
        await account.spends()
        call = using.client.call("answer", model="small", question=asked, key=account.key)
        await account.spends_until(lambda one=call: refused() or one.ending.done())
        if refused() or call.ending.exception():
            return call
    raise AssertionError("It was never refused.")


@pytest.mark.parametrize("using", those_that("answer", api="openai"), indirect=True)
async def test_a_client_that_asked_too_much_asks_again(using: Using, platform: Platform, edge: str) -> None:
    account = await Account.opens(edge)
    before, asked = refused(platform), question()
    call = await asks_too_much(using, account, asked, lambda: refused(platform) > before)
    assert asked in await call.ends()
    await account.leaves()


@pytest.mark.parametrize("using", those_that("answer", api="ollama"), indirect=True)
async def test_a_client_that_never_tries_again_says_why(using: Using, edge: str) -> None:
    account = await Account.opens(edge)
    call = await asks_too_much(using, account, question(), lambda: False)
    with pytest.raises(Raised) as raised:
        await call.ends()
    assert raised.value.status == 429
    assert raised.value.words
    await account.leaves()
