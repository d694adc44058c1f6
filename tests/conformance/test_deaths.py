"""A worker that is killed in the middle of every client's answer: gone on from where the model does that, else an error, never two runs
in one text. Then no worker at all: clients that try again get their answer when there is one."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator, Mapping

import httpx
import pytest
from redis.asyncio import Redis

from tests.conformance.accounts import Account
from tests.conformance.clients import LOOKS_FIRST, Call, Client, Raised
from tests.conformance.conftest import COMPILED
from tests.conformance.using import Using, question
from tests.e2e.compositions import Platform, distributed
from tests.eventually import eventually
from tests.faults.stand import SETTLED
from tests.servers.settings import NewServers

SLOTS = 64
TOKENS = 50
TEXT = "".join(f"{number} " for number in range(TOKENS))
STREAMS = ("stream", "respond_stream")
BEGUN = "0 1 2 "
"""What everybody has read before the worker is killed: until another worker asks them, these models say no more."""
GOES_ON, BEGINS_ANEW = "waits", "waits-anew"
SLACK = 0.1
"""Seconds between an answer's end and our clock."""
IN_MID_STREAM = {
    "openai-python": "APIError",
    "openai-node": "APIError",
    "langchain-openai": "APIError",
    "llm": "APIError",
    "ai-sdk": "Object",
    **dict.fromkeys(("ollama-python", "langchain-ollama", "llm-ollama"), "ResponseError"),
    "ollama-js": "Error",
}


@pytest.fixture(scope="module")
def processes(tmp_path_factory: pytest.TempPathFactory, new_servers: NewServers) -> Iterator[Platform]:
    """Edges and workers of their own."""
    folder = tmp_path_factory.mktemp("processes")
    running = distributed(folder, new_servers(), slots=SLOTS, more=COMPILED)
    yield running
    running.stop()


@pytest.fixture(scope="module")
async def accounts(processes: Platform, all_using: Mapping[str, Using]) -> AsyncIterator[dict[str, Account]]:
    """One for each client, on that platform."""
    opened = {name: await Account.opens(processes.edges[0]) for name in all_using}
    yield opened
    for one in opened.values():
        await one.leaves()


def asks(client: Client, account: Account, platform: Platform, name: str, **given: object) -> Call:
    """That client's call to that platform."""
    return client.call(name, url=client.kind.at(platform.edges[0]), key=account.key, **given)


async def probed(platform: Platform, account: Account, *models: str) -> None:
    """These models were used, and then asked whether they go on from an answer that was begun."""
    for model in models:
        body = {"model": model, "content": question(), "options": {"max_tokens": 2}}
        answer = await account.http.post("/api/chats/stream", json=body)
        assert b"event: completed" in answer.content, answer.text

    async with Redis.from_url(platform.environment["OLLAMANET_REDIS_URL"]) as redis:

        async def known() -> bool:
            return {one.decode() for one in await redis.hkeys("probes:fake")} >= set(models)  # type: ignore[misc]

        await eventually(known, 20)


async def dies_under(platform: Platform, streams: list[Call]) -> None:
    """All these streams run on one worker, which is killed when another one can take them over."""
    await asyncio.gather(*(one.says(BEGUN) for one in streams))
    await asyncio.to_thread(platform.restart, "inference-1")
    await asyncio.sleep(SETTLED)
    assert not any(one.ending.done() for one in streams)
    platform.kill("inference-2")


async def test_every_client_outlives_its_worker_or_is_told(
    processes: Platform, accounts: dict[str, Account], all_using: Mapping[str, Using]
) -> None:
    await probed(processes, next(iter(accounts.values())), GOES_ON, BEGINS_ANEW)
    processes.kill("inference-1")
    calls = [(name, call) for name in accounts for call in STREAMS if call in all_using[name].client.kind.can]
    asked = {(*one, model): question("Count.") for one in calls for model in (GOES_ON, BEGINS_ANEW)}
    streams = {
        (name, call, model): asks(
            all_using[name].client, accounts[name], processes, call, model=model, question=one, most=TOKENS
        )
        for (name, call, model), one in asked.items()
    }
    await dies_under(processes, list(streams.values()))
    for name, call in calls:
        assert await streams[name, call, GOES_ON].text() == TEXT, (name, call)
        assert (await accounts[name].reply(asked[name, call, GOES_ON]))["content"] == TEXT
        with pytest.raises(Raised) as raised:
            await streams[name, call, BEGINS_ANEW].ends()
        assert call != "stream" or IN_MID_STREAM[name] in raised.value.kinds, (name, raised.value)
        assert "".join(streams[name, call, BEGINS_ANEW].said) == BEGUN, (name, call)
    runs = [one for one in processes.calls() if one["messages"][0]["content"] in asked.values()]  # type: ignore[index]
    assert sum(bool(one["continued"]) for one in runs) == len(calls)


async def test_clients_come_again_when_a_model_is_back(
    processes: Platform, accounts: dict[str, Account], all_using: Mapping[str, Using]
) -> None:
    processes.kill("fake")
    account = next(iter(accounts.values()))
    body = {"model": "small", "content": "?"}

    async def away() -> httpx.Response | None:
        answer = await account.http.post("/api/chats/stream", json=body)
        return answer if answer.status_code == httpx.codes.SERVICE_UNAVAILABLE else None

    answer = await eventually(away, 20)
    assert answer is not None
    wait = float(answer.headers["retry-after-ms"]) / 1000
    began = time.monotonic()
    asked = {name: question() for name in accounts if name not in LOOKS_FIRST}
    answers = {
        name: asks(all_using[name].client, accounts[name], processes, "answer", model="small", question=one)
        for name, one in asked.items()
    }
    await asyncio.to_thread(processes.restart, "fake")
    for name, call in answers.items():
        if all_using[name].client.kind.api == "openai":
            assert asked[name] in await call.ends(), name
            assert time.monotonic() - began > wait - SLACK
        else:
            with pytest.raises(Raised) as raised:
                await call.ends()
            assert raised.value.status == httpx.codes.SERVICE_UNAVAILABLE
