"""Calls of Ollama's API, and what a strict client reads of the answers."""

import asyncio
import json
from datetime import datetime
from typing import Any

import httpx

from tests.contract.http.worlds import ByHand, Person, World
from tests.eventually import eventually

CHAT, GENERATE = "/ollama/api/chat", "/ollama/api/generate"
USER = {"role": "user", "content": "Why?"}
PROMPT: dict[str, object] = {"model": "small", "prompt": "Why?"}


def asks(**more: object) -> dict[str, object]:
    return {"model": "small", "messages": [USER], **more}


def error_of(response: httpx.Response, status: int) -> str:
    """The error of this answer, in Ollama's shape and nothing else."""
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/json"
    body = response.json()
    assert set(body) == {"error"}
    assert body["error"]
    return body["error"]


def lines(raw: bytes) -> list[Any]:
    """What a client reads that parses every line, also an empty one."""
    text = raw.decode()
    assert text.endswith("\n")
    assert len(text.splitlines()) == text.count("\n"), "some clients split at more than line feeds"
    return [json.loads(one) for one in text.removesuffix("\n").split("\n")]


def said(told: list[Any]) -> list[Any]:
    """What these lines say, without what they all have."""
    found: list[Any] = []
    for one in told:
        if "error" in one:
            found.append(one)
            continue
        moment = one.pop("created_at")
        assert moment.endswith("Z")
        assert datetime.fromisoformat(moment).tzinfo is not None
        found.append({name: value for name, value in one.items() if name != "model"})
    return found


async def accepted(world: World, person: Person) -> ByHand:
    """The one question of this person, which the test answers by hand."""
    question = (await eventually(lambda: world.streams.open(person.account.id)))[0]

    async def is_accepted() -> bool:
        head = await world.streams.head(question.generation_id)
        return head is not None and head.state == "accepted"

    await eventually(is_accepted)
    return await world.by_hand(question.generation_id)


async def asked(
    world: World, person: Person, path: str = CHAT, /, **body: object
) -> tuple[ByHand, asyncio.Task[httpx.Response]]:
    """A question that the test answers by hand."""
    whole = asks(**body) if path == CHAT else {**PROMPT, **body}
    task = asyncio.create_task(person.http.post(path, json=whole))
    return await accepted(world, person), task
