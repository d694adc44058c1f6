"""Clients of Ollama's API that hang up, an edge that stops, and limits."""

import asyncio

import pytest

from tests.contract.http.conftest import StartWorld
from tests.contract.http.ollama_calls import CHAT, GENERATE, PROMPT, asks, error_of, lines
from tests.contract.http.wire import Line
from tests.contract.http.worlds import Person, World
from tests.eventually import eventually
from tests.unit.workers.scripted import ScriptedBackend, never, says


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("path", [CHAT, GENERATE])
async def test_who_hangs_up_cancels(world: World, person: Person, recording: None, path: str, stream: bool) -> None:
    backend = ScriptedBackend([*says("Half")[:1], never])
    body = asks(stream=stream) if path == CHAT else {**PROMPT, "stream": stream}
    async with world.working(backend):
        async with Line(world.url) as line:
            await line.asks("POST", path, person.headers, body)
            await eventually(lambda: backend.running == 1)
        await eventually(lambda: backend.running == 0)
    await eventually(lambda: len(world.edge.streams) == 0)


@pytest.mark.parametrize("stream", [True, False])
async def test_who_sent_a_key_may_hang_up_and_have_the_same_answer(
    world: World, person: Person, recording: None, stream: bool
) -> None:
    gate = asyncio.Event()
    backend = ScriptedBackend([*says("Half")[:1], gate.wait, *says(" and half")])
    headers = {**person.headers, "Idempotency-Key": "k"}
    async with world.working(backend):
        async with Line(world.url) as line:
            await line.asks("POST", CHAT, headers, asks(stream=stream))
            await eventually(lambda: backend.running == 1)
        await eventually(lambda: len(world.edge.streams) == 0)
        gate.set()
        response = await person.http.post(CHAT, json=asks(stream=False, model="small:latest"), headers=headers)
    assert response.json()["message"]["content"] == "Half and half"
    assert [one.context[-1].content for one in backend.calls].count("Why?") == 1
    error_of(await person.http.post(CHAT, json=asks(options={"seed": 1}), headers=headers), 422)


@pytest.mark.parametrize("stream", [True, False])
async def test_an_edge_that_stops_says_so(world: World, person: Person, stream: bool) -> None:
    asking = asyncio.create_task(person.http.post(CHAT, json=asks(stream=stream)))
    await eventually(lambda: len(world.edge.streams) == 1)
    world.edge.streams.end_all()
    response = await asking
    told = lines(response.content)[-1]["error"] if stream else error_of(response, 503)
    assert "replaced" in told
    error_of(await person.http.post(CHAT, json=asks()), 503)


async def test_a_limit_is_told(start: StartWorld) -> None:
    world = await start(chats_per_minute=1)
    person = await world.person()
    assert (await person.http.post(CHAT, json={"model": "small"})).status_code == 200  # runs nothing
    first = await person.http.post(CHAT, json=asks(model="nothing"))
    assert first.headers["ratelimit-policy"] == '"chats";q=1;w=60'
    third = await person.http.post(GENERATE, json=PROMPT)
    error_of(third, 429)
    assert 0 < int(third.headers["retry-after"]) <= 60
