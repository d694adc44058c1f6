"""Images inside other APIs' bodies: kept first, by reference on the bus, refused by their place where they are none."""

import base64
import json
from typing import Any

import httpx
import pytest

from contracts.commands import GenerateReply
from contracts.images import MOST_IN_CONTEXT, image_id
from contracts.ports.backend import PROBE, ChatRequest
from contracts.records import BackendModel
from tests.contract.http.conftest import StartWorld
from tests.contract.http.worlds import Person, World
from tests.eventually import eventually
from tests.pictures import gif, jpeg, png
from tests.unit.workers.scripted import ScriptedBackend, says

OPENAI, RESPONSES, OLLAMA, GENERATE = (
    "/v1/chat/completions",
    "/v1/responses",
    "/ollama/api/chat",
    "/ollama/api/generate",
)
DOORS = (OPENAI, RESPONSES, OLLAMA, GENERATE)
PLACES = {
    OPENAI: "messages[0].content[1].image_url", RESPONSES: "input[0].content[1].image_url",
    OLLAMA: "messages[0].images[0]", GENERATE: "images[0]",
}  # fmt: skip


def encoded(content: bytes) -> str:
    return base64.b64encode(content).decode()


def url(content: bytes, kind: str = "image/png") -> str:
    return f"data:{kind};base64,{encoded(content)}"


def body(door: str, *images: str, model: str = "small", text: str = "What is this?") -> dict[str, Any]:
    """A question with these: URLs, or base64 for Ollama's doors."""
    if door == GENERATE:
        return {"model": model, "prompt": text, "images": [*images], "stream": False}
    if door == OLLAMA:
        return {"model": model, "messages": [{"role": "user", "content": text, "images": [*images]}], "stream": False}
    if door == RESPONSES:
        shown = [{"type": "input_image", "image_url": one, "detail": "auto"} for one in images]
        return {
            "model": model,
            "input": [{"role": "user", "content": [{"type": "input_text", "text": text}, *shown]}],
        }
    shown = [{"type": "image_url", "image_url": {"url": one, "detail": "low"}} for one in images]
    return {"model": model, "messages": [{"role": "user", "content": [{"type": "text", "text": text}, *shown]}]}


def as_sent(door: str, content: bytes) -> str:
    return encoded(content) if door in (OLLAMA, GENERATE) else url(content)


def message(response: httpx.Response) -> str:
    error = response.json()["error"]
    return error if isinstance(error, str) else error["message"]


def commands(world: World) -> list[GenerateReply]:
    return [one for one in world.bus.published if isinstance(one, GenerateReply)]


def asked_of(backend: ScriptedBackend) -> list[ChatRequest]:
    """What people asked it, without the worker's probes."""
    return [one for one in backend.calls if one.context[0].content != PROBE]


@pytest.mark.parametrize("door", DOORS)
async def test_a_model_sees_what_came_along_and_the_chat_keeps_it(world: World, person: Person, door: str) -> None:
    backend = ScriptedBackend(says("A cat."))
    async with world.recording(), world.working(backend):
        response = await person.http.post(door, json=body(door, as_sent(door, png()), as_sent(door, jpeg())))
        assert response.status_code == 200, response.text
        (command,) = commands(world)
        await eventually(lambda: world.ports.chats.reply(person.account.id, command.question.generation_id))
    (call,) = asked_of(backend)
    ids = [image_id(png()), image_id(jpeg())]
    assert call.images == {ids[0]: png(), ids[1]: jpeg()}
    assert [one.id for one in call.context[-1].images] == ids
    assert encoded(png()) not in command.model_dump_json()
    asked, _ = (await person.chat(command.question.chat_id))["messages"]
    assert (asked["content"], [one["id"] for one in asked["images"]]) == ("What is this?", ids)


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize(
    "wrong", ["AA==", "not base64!", "", "é", encoded(b"<svg/>"), encoded(png(60_000, 60_000)), encoded(png()[:12])]
)
async def test_what_is_no_image_is_refused_by_its_place(world: World, person: Person, door: str, wrong: str) -> None:
    sent = wrong if door in (OLLAMA, GENERATE) else f"data:image/png;base64,{wrong}"
    response = await person.http.post(door, json=body(door, sent))
    assert response.status_code == 400, response.text
    assert message(response).startswith(PLACES[door])
    assert not world.bus.published


@pytest.mark.parametrize("door", [OPENAI, RESPONSES])
@pytest.mark.parametrize(
    "elsewhere",
    [
        "https://example.org/a.png",
        "http://127.0.0.1/a.png",
        "file:///etc/passwd",
        "data:image/png,x",
        "",
        "data:;base64" * 99,
    ],
)
async def test_nothing_is_fetched_for_a_caller(world: World, person: Person, door: str, elsewhere: str) -> None:
    response = await person.http.post(door, json=body(door, elsewhere))
    assert response.status_code == 400
    assert "not fetched here" in message(response)
    assert response.json()["error"]["param"] == PLACES[door]
    assert not world.bus.published


@pytest.mark.parametrize("door", DOORS)
async def test_a_model_that_cannot_see_is_not_asked(world: World, person: Person, door: str) -> None:
    await world.serves("blind", served_by=(BackendModel(name="blind", backend="one", sees=False),))
    response = await person.http.post(door, json=body(door, as_sent(door, png()), model="blind"))
    assert (response.status_code, "does not read images" in message(response)) == (400, True)
    assert not world.bus.published
    assert await world.ports.images.get(person.account.id, image_id(png())) is None, "what is refused is not kept"


@pytest.mark.parametrize("door", DOORS)
async def test_images_may_be_large_and_everything_else_may_not(world: World, person: Person, door: str) -> None:
    large = [png(shade=shade) + b"\0" * (4 << 20) for shade in range(2)]
    async with world.working(ScriptedBackend(says("So."))):
        sent = [as_sent(door, one) for one in large]
        assert (await person.http.post(door, json=body(door, *sent))).status_code == 200
    too_large = body(door, *sent, as_sent(door, large[0][:3_000_000]))
    assert (await person.http.post(door, json=too_large)).status_code == 413
    tool = {"type": "function", "name": "f", "function": {"name": "f", "description": "x" * (1 << 20)}}
    wordy = {**body(door, as_sent(door, png())), "tools": [tool | {"description": "x" * (1 << 20)}]}
    assert (await person.http.post(door, json=wordy)).status_code in (400, 413)
    assert len(commands(world)) == 1
    assert len(commands(world)[0].model_dump_json()) < 10_000


async def test_line_breaks_in_base64_are_none(world: World, person: Person) -> None:
    async with world.working(ScriptedBackend(says("So."))):
        broken = base64.encodebytes(png() + b"\0" * 100).decode().replace("\n", "\r\n")
        assert (await person.http.post(OLLAMA, json=body(OLLAMA, broken))).status_code == 200


async def test_only_the_user_shows_images(world: World, person: Person) -> None:
    shown = {"type": "image_url", "image_url": {"url": url(png())}}
    for role in ("assistant", "system", "developer"):
        messages = [{"role": role, "content": [shown]}, {"role": "user", "content": "Why?"}]
        response = await person.http.post(OPENAI, json={"model": "small", "messages": messages})
        assert (response.status_code, response.json()["error"]["param"]) == (400, "messages[0].content[0]")
        messages = [
            {"role": "assistant", "content": "A.", "images": [encoded(png())]},
            {"role": "user", "content": "?"},
        ]
        response = await person.http.post(OLLAMA, json={"model": "small", "messages": messages})
        assert (response.status_code, "messages[0].images" in message(response)) == (400, True)
    assert not world.bus.published


async def test_a_conversation_has_so_many_images_and_no_more(world: World, person: Person) -> None:
    made = [encoded(png(shade=shade)) for shade in range(MOST_IN_CONTEXT + 1)]
    response = await person.http.post(OLLAMA, json=body(OLLAMA, *made))
    assert (response.status_code, f"at most {MOST_IN_CONTEXT} images" in message(response)) == (400, True)
    async with world.working(ScriptedBackend(says("So."))):
        assert (await person.http.post(OLLAMA, json=body(OLLAMA, *made[:-1]))).status_code == 200


async def test_room_is_asked_for_before_anything_is_queued(start: StartWorld) -> None:
    world = await start(image_megabytes=1)
    person = await world.person()
    response = await person.http.post(OPENAI, json=body(OPENAI, url(png() + b"\0" * (1 << 20))))
    assert (response.status_code, "bytes together" in message(response)) == (413, True)
    assert not world.bus.published


async def test_a_repeat_with_the_same_bytes_is_the_same_request(world: World, person: Person) -> None:
    headers = {"Idempotency-Key": "one"}
    async with world.working(ScriptedBackend(says("A cat."), says("A dog."))):
        first = await person.http.post(OPENAI, json=body(OPENAI, url(png())), headers=headers)
        again = await person.http.post(OPENAI, json=body(OPENAI, url(png())), headers=headers)
        other = await person.http.post(OPENAI, json=body(OPENAI, url(gif(), "image/gif")), headers=headers)
    assert first.json()["choices"] == again.json()["choices"]
    assert other.status_code == 422
    assert len(commands(world)) == 1


async def test_an_image_that_was_deleted_meanwhile_fails_its_question_clearly(world: World, person: Person) -> None:
    sent = await person.http.post("/api/images", content=png(), headers={"Content-Type": "image/png"})
    begun = await person.begins("What is this?", images=[sent.json()["id"]])
    await world.ports.images.discard(person.account.id, [image_id(png())])
    backend = ScriptedBackend(says("A cat."))
    async with world.recording(), world.working(backend):
        end = (await person.follow(begun["generation_id"])).end()
    assert (end.name, end.data["code"], end.data["retryable"]) == ("failed", "image_missing", False)
    assert not backend.calls


async def test_a_response_goes_on_from_what_was_shown(world: World, person: Person) -> None:
    backend = ScriptedBackend(says("A cat."), says("Furry."))
    async with world.recording(), world.working(backend):
        first = (await person.http.post(RESPONSES, json=body(RESPONSES, url(png())))).json()
        more = {"model": "small", "input": "And its fur?", "previous_response_id": first["id"]}
        second = await person.http.post(
            RESPONSES, content=json.dumps(more), headers={"Content-Type": "application/json"}
        )
        assert second.status_code == 200, second.text
    second_call = asked_of(backend)[1]
    assert [len(turn.images) for turn in second_call.context] == [1, 0, 0]
    assert second_call.images == {image_id(png()): png()}
