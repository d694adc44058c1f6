"""The Python SDK, both of its clients, against the real platform."""

import asyncio
import sys
from collections.abc import AsyncGenerator, Callable
from pathlib import Path
from uuid import uuid4

import pytest

from ollamanet import AsyncOllamaNet, Cancelled, Completed, GenerationFailed, OllamaNet, Refused, Token
from tests.e2e.client import PASSWORD, Person
from tests.e2e.compositions import Platform
from tests.e2e.journeys.sdk_clients import CUT, SDK, api_key, busy_worker, example, reader_has_an_account
from tests.eventually import eventually

WHOLE = f"[1 messages] You said: {CUT}"
COUNTED = "".join(f"{number} " for number in range(120))
Connect = Callable[..., AsyncOllamaNet]


@pytest.fixture
async def connect(platform: Platform, person: Person) -> AsyncGenerator[Connect, None]:
    """`connect(edge=1)`: a client of that edge, by an API key."""
    secret = await api_key(person)
    opened: list[AsyncOllamaNet] = []

    def connect_to(edge: int = 0) -> AsyncOllamaNet:
        opened.append(AsyncOllamaNet(platform.edges[edge % len(platform.edges)], api_key=secret))
        return opened[-1]

    yield connect_to
    for one in opened:
        await one.aclose()


async def test_a_reply_is_left_in_the_middle_and_read_to_its_end_on_another_edge(connect: Connect) -> None:
    here, there = connect(), connect(edge=1)
    left = here.stream(CUT, model="small")
    async for event in left:
        if isinstance(event, Token):
            break
    assert left.generation_id
    assert left.chat_id
    rest = await there.follow(left.generation_id, after=left.last_event_id).answer()
    assert left.text + rest.text == WHOLE
    assert (await left.answer()).text == WHOLE
    assert (await there.ask("And?", model="small", chat_id=left.chat_id)).text.startswith("[3 messages]")
    assert [one["id"] async for one in there.chats()] == [left.chat_id]
    assert [one["role"] for one in (await here.chat(left.chat_id))["messages"]] == ["user", "assistant"] * 2


async def test_a_reply_is_cancelled_from_another_device(connect: Connect) -> None:
    here, there = connect(), connect(edge=1)
    reply = here.stream("Count.", model="slow")
    last = None
    async for last in reply:
        if isinstance(last, Token) and last.text == "1 ":
            assert reply.generation_id
            await there.cancel(reply.generation_id)
    assert isinstance(last, Cancelled)
    assert (await there.generation(reply.generation_id or ""))["status"] == "cancelled"
    with pytest.raises(GenerationFailed) as caught:
        await reply.answer()
    assert (caught.value.code, caught.value.partial_text[:4]) == ("cancelled", "0 1 ")


async def test_errors_are_typed(connect: Connect, platform: Platform) -> None:
    net = connect()
    with pytest.raises(Refused) as refused:
        await net.ask("Hello?", model="nobody")
    assert (refused.value.status, refused.value.code) == (404, "unknown_model")
    assert refused.value.request_id
    with pytest.raises(GenerationFailed) as failed:
        await net.ask("Hello there, whoever you are?", model="cut")
    assert failed.value.code == "backend_cut"
    assert failed.value.partial_text
    async with AsyncOllamaNet(platform.edges[0], api_key="on_nobody") as stranger:
        with pytest.raises(Refused) as unknown:
            await stranger.me()
    assert unknown.value.status == 401


async def test_a_killed_worker_and_a_killed_edge_are_not_noticed(connect: Connect, platform: Platform) -> None:
    if platform.kind == "embedded":
        pytest.skip("there is one process, whose end is everything's")
    net = connect(edge=1)
    reply = net.stream("Count as far as you may.", model="paced", options={"max_tokens": 120})
    answering = asyncio.create_task(reply.answer())
    await eventually(lambda: reply.text.count(" ") > 5)
    worker = busy_worker(platform)
    try:
        await asyncio.to_thread(platform.kill, worker)
        await asyncio.to_thread(platform.kill, "edge-2")
    finally:
        await asyncio.gather(*(asyncio.to_thread(platform.restart, one) for one in ("edge-2", worker)))
    answer = await answering
    assert (answer.text, answer.finish_reason) == (COUNTED, "length")


def test_the_blocking_client_does_the_same(platform: Platform) -> None:
    with OllamaNet(platform.edges[0]) as net, OllamaNet(platform.edges[-1]) as other:
        email = f"{uuid4()}@example.org"
        assert net.sign_up(email, PASSWORD, "Ada")["display_name"] == "Ada"
        assert other.log_in(email, PASSWORD)["email"] == email
        left = net.stream(CUT, model="small")
        for event in left:
            if isinstance(event, Token):
                break
        *_, end = other.follow(left.generation_id or "", after=left.last_event_id)
        assert isinstance(end, Completed)
        assert left.answer().text == WHOLE
        stalled = net.stream("Hello?", model="stall")
        for event in stalled:
            if isinstance(event, Token):
                stalled.cancel()
        assert isinstance(event, Cancelled)
        with pytest.raises(Refused, match="nobody"):
            net.ask("Hello?", model="nobody")
        key = net.create_key("journey", scopes=["read"])
        (kept,) = net.keys()
        assert kept["name"] == "journey"
        with OllamaNet(platform.edges[-1], api_key=key["secret"]) as program, pytest.raises(Refused) as caught:
            program.ask("Hello?", model="small")
        assert caught.value.code == "not_permitted"
        net.log_out()
        with pytest.raises(Refused):
            net.me()


async def test_the_example_of_its_page_runs_as_typed(platform: Platform, person: Person, tmp_path: Path) -> None:
    await reader_has_an_account(platform)
    script = tmp_path / "example.py"
    script.write_text(example(SDK / "python/README.md", "python", platform))
    process = await asyncio.create_subprocess_exec(
        sys.executable, str(script), stdout=-1, stderr=-1, env={"PYTHONPATH": str(SDK / "python/src")}
    )
    told, complaints = await asyncio.wait_for(process.communicate(), 30)
    assert (process.returncode, complaints) == (0, b"")
    assert told.decode() == "[1 messages] You said: Why is the sky blue?"
