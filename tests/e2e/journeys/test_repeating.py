"""Questions that are sent again, and edges that stop: nothing runs twice, and streams go on elsewhere."""

import asyncio
import signal
from collections.abc import AsyncIterator

import httpx
import pytest

from tests.e2e.client import Answer, Person, events
from tests.e2e.compositions import Platform
from tests.eventually import eventually

STREAM = "/api/chats/stream"


def asks(content: str, model: str = "small") -> dict[str, object]:
    return {"model": model, "content": content}


async def streamed(person: Person, edge: int, key: str, body: dict[str, object]) -> Answer:
    answer = Answer()
    headers = {"Idempotency-Key": key}
    async with person.edge(edge).stream("POST", STREAM, json=body, headers=headers) as response:
        assert response.status_code == 200, await response.aread()
        answer.events += [event async for event in events(response)]
    return answer


def calls(platform: Platform, content: str) -> int:
    """How often the model was asked that."""
    return sum(one["messages"][-1]["content"] == content for one in platform.calls() if one.get("messages"))  # type: ignore[index]


async def test_a_question_that_is_sent_again_to_any_edge_runs_once(person: Person, platform: Platform) -> None:
    body = asks("Asked once, sent six times?")
    at_once = await asyncio.gather(*(streamed(person, n, "sent-six-times", body) for n in range(5)))
    late = await streamed(person, 1, "sent-six-times", body)
    for answer in (*at_once, late):
        assert [one for one in answer.events if one.name != "queued"] == late.events
    assert late.end().name == "completed"
    assert calls(platform, "Asked once, sent six times?") == 1
    refused = await person.edge().post(STREAM, json=asks("Another?"), headers={"Idempotency-Key": "sent-six-times"})
    assert (refused.status_code, refused.json()["code"]) == (422, "idempotency_mismatch")


async def test_an_edge_that_is_asked_to_end_sends_its_streams_elsewhere(person: Person, platform: Platform) -> None:
    if platform.kind == "embedded":
        pytest.skip("there is one process, which is the edge")
    cut, lines = Answer(), bytearray()
    watching = asyncio.create_task(watch(person, cut, lines))
    await eventually(lambda: "token" in cut.names)
    platform.processes["edge-1"].send_signal(signal.SIGTERM)
    try:
        await watching
        assert await asked_while_it_ends(person) in (503, None)
        assert bytes(lines).endswith(b"\n\nretry: 500\n\n")
        assert await asyncio.to_thread(platform.processes["edge-1"].wait, 30) == 0
        last = cut.ids[-1]
        rest = await person.follow(cut.first("accepted")["generation_id"], after=last, edge=1)
        assert rest.end().name == "completed"
        whole = await person.follow(cut.first("accepted")["generation_id"], edge=1)
        assert cut.events + rest.events == whole.events
    finally:
        platform.restart("edge-1")


async def watch(person: Person, answer: Answer, raw: bytearray) -> None:
    """Until the edge ends the stream; `raw`: what came, byte by byte."""
    async with person.edge(0).stream("POST", STREAM, json=asks("How far?", "slow")) as response:
        async for event in events(_Kept(response, raw)):  # type: ignore[arg-type]
            answer.events.append(event)


class _Kept:
    """A response whose bytes are kept as its lines are read."""

    def __init__(self, response: httpx.Response, raw: bytearray) -> None:
        self._response = response
        self._raw = raw

    async def aiter_lines(self) -> AsyncIterator[str]:
        rest = b""
        async for chunk in self._response.aiter_bytes():
            self._raw += chunk
            *lines, rest = (rest + chunk).split(b"\n")
            for line in lines:
                yield line.decode()


async def asked_while_it_ends(person: Person) -> int | None:
    """503, or None where it does not listen any more."""
    try:
        return (await person.edge(0).post(STREAM, json=asks("Too late?"))).status_code
    except httpx.TransportError:
        return None
