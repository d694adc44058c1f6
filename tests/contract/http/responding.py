"""Responses as a client of OpenAI's gets them, with a test as the worker."""

import asyncio
import json
from typing import Any

import httpx

from tests.contract.http.worlds import ByHand, Person, World
from tests.eventually import eventually

PATH = "/v1/responses"
TOOL = {"type": "function", "name": "look", "description": "Looks.", "parameters": {"type": "object"}, "strict": True}
CALL = {"type": "function_call", "call_id": "a", "name": "look", "arguments": '{"at": "sky"}'}
OUTPUT = {"type": "function_call_output", "call_id": "a", "output": "blue"}


def user(content: object) -> dict[str, object]:
    """A message of the user's."""
    return {"role": "user", "content": content}


def asks(**more: object) -> dict[str, object]:
    return {"model": "small", "input": "Why?", **more}


def parts(raw: bytes) -> list[dict[str, Any]]:
    """What a strict parser reads: named events with one line of data, with at most comments right before, no ids, no `retry:`."""
    found: list[dict[str, Any]] = []
    for block in raw.decode().split("\n\n")[:-1]:
        *comments, name, data = block.split("\n")
        assert all(one.startswith(":") for one in comments), block
        event = json.loads(data.removeprefix("data: "))
        assert name == f"event: {event['type']}", block
        assert "sequence_number" in event, block
        found.append(event)
    return found


def names(events: list[dict[str, Any]]) -> list[str]:
    return [one["type"].removeprefix("response.") for one in events]


def numbers(events: list[dict[str, Any]]) -> list[int]:
    return [one["sequence_number"] for one in events]


def text(events: list[dict[str, Any]]) -> str:
    return "".join(one["delta"] for one in events if one["type"] == "response.output_text.delta")


def said(response: dict[str, Any]) -> str:
    """The text of a whole response."""
    found = [one for one in response["output"] if one["type"] == "message"]
    return "".join(part["text"] for one in found for part in one["content"])


async def created(person: Person, **more: object) -> dict[str, Any]:
    """A response in the background."""
    response = await person.http.post(PATH, json=asks(background=True, **more))
    assert response.status_code == 200, response.text
    return response.json()


async def begun(world: World, person: Person, **more: object) -> ByHand:
    """A response in the background that the test writes."""
    body = await created(person, **more)
    return await world.by_hand(body["id"].removeprefix("resp_"))


def id_of(hand: ByHand) -> str:
    return f"resp_{hand.question.generation_id}"


async def got(person: Person, hand: ByHand) -> dict[str, Any]:
    response = await person.http.get(f"{PATH}/{id_of(hand)}")
    assert response.status_code == 200, response.text
    return response.json()


async def followed(person: Person, hand: ByHand, after: int | None = None) -> list[dict[str, Any]]:
    """Its stream to the end."""
    rest = {} if after is None else {"starting_after": after}
    response = await person.http.get(f"{PATH}/{id_of(hand)}", params={"stream": True, **rest})
    assert response.status_code == 200, response.text
    return parts(response.content)


class Watch:
    """A stream as it comes."""

    def __init__(self) -> None:
        self.raw = b""
        self.task: asyncio.Task[None] | None = None

    @property
    def events(self) -> list[dict[str, Any]]:
        return parts(self.raw[: self.raw.rfind(b"\n\n") + 2])

    async def ended(self) -> list[dict[str, Any]]:
        assert self.task is not None
        await self.task
        assert self.raw.endswith(b"\n\n")
        return self.events

    async def has(self, *wanted: str) -> None:
        """Until it has told these deltas."""
        await eventually(lambda: [one["delta"] for one in self.events if "delta" in one] == list(wanted))

    async def follows(self, person: Person, method: str, path: str, **request: Any) -> None:
        async with person.http.stream(method, path, **request) as response:
            assert response.status_code == 200, await response.aread()
            assert response.headers["content-type"] == "text/event-stream; charset=utf-8"
            async for piece in response.aiter_raw():
                self.raw += piece


async def watched(person: Person, hand: ByHand, after: int | None = None) -> Watch:
    """Its stream, being followed: from the start, the first event has come."""
    rest = {} if after is None else {"starting_after": after}
    watch = Watch()
    request = watch.follows(person, "GET", f"{PATH}/{id_of(hand)}", params={"stream": "true", **rest})
    watch.task = asyncio.create_task(request)
    await eventually(lambda: watch.raw or after is not None)
    return watch


async def streaming(person: Person, **more: object) -> tuple[ByHand, Watch]:
    """A streamed response that the test writes."""
    watch = Watch()
    watch.task = asyncio.create_task(watch.follows(person, "POST", PATH, json=asks(stream=True, **more)))
    first = (await eventually(lambda: watch.events))[0]
    hand = await person.world.by_hand(first["response"]["id"].removeprefix("resp_"))
    return hand, watch


def refusal(response: httpx.Response, status: int, code: str) -> dict[str, Any]:
    """The error of this answer, in OpenAI's shape and nothing else."""
    assert response.status_code == status, response.text
    body = response.json()
    assert set(body) == {"error"}
    assert body["error"]["code"] == code, body
    return body["error"]
