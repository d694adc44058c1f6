"""A person asks with an image, at every door; the model's server gets the very bytes."""

import base64
from hashlib import sha256

import pytest

from tests.e2e.client import Person
from tests.e2e.compositions import Platform
from tests.eventually import eventually
from tests.pictures import jpeg, png


def seen(platform: Platform, question: str) -> list[list[str]]:
    """The images of each message of the newest call with that question last, as the model's server saw them."""
    calls = [one for one in platform.calls() if one["messages"][-1]["content"] == question]  # type: ignore[index]
    return [list(one.get("images") or ()) for one in calls[-1]["messages"]]  # type: ignore[attr-defined]


def digest(content: bytes) -> str:
    return sha256(content).hexdigest()


async def sent(person: Person, content: bytes) -> dict[str, object]:
    response = await person.edge().post("/api/images", content=content, headers={"Content-Type": "image/*"})
    assert response.status_code == 201, response.text
    return response.json()


async def test_an_image_is_asked_with_shown_and_asked_about_again(person: Person, platform: Platform) -> None:
    image = await sent(person, png())
    answer = await person.ask("What is this?", model="seer", images=[image["id"]], edge=1)
    assert answer.end().name == "completed"
    assert seen(platform, "What is this?") == [[digest(png())]]
    chat_id = answer.first("accepted")["chat_id"]
    chat = await eventually(lambda: person.chat(chat_id, edge=1))
    assert chat["messages"][0]["images"] == [image]  # type: ignore[index]
    shown = await person.edge(1).get(f"/api/images/{image['id']}")
    assert (shown.content, shown.headers["content-type"]) == (png(), "image/png")
    again = await person.ask("And its colour?", model="seer", chat_id=chat_id)
    assert again.end().name == "completed"
    assert seen(platform, "And its colour?") == [[digest(png())], [], []]


async def test_who_cannot_see_is_not_asked(person: Person) -> None:
    image = await sent(person, png())
    body = {"model": "small", "content": "What is this?", "images": [image["id"]]}
    response = await person.edge().post("/api/chats/stream", json=body)
    assert (response.status_code, response.json()["code"]) == (400, "model_cannot_see")


@pytest.mark.parametrize("door", ["/v1/chat/completions", "/v1/responses", "/ollama/api/chat"])
async def test_other_apis_carry_images_in_themselves(person: Person, platform: Platform, door: str) -> None:
    encoded, question = base64.b64encode(jpeg()).decode(), f"What is this at {door}?"
    url = f"data:image/jpeg;base64,{encoded}"
    bodies = {
        "/v1/chat/completions": {"messages": [{"role": "user", "content": [
            {"type": "text", "text": question}, {"type": "image_url", "image_url": {"url": url}}]}]},
        "/v1/responses": {"input": [{"role": "user", "content": [
            {"type": "input_text", "text": question}, {"type": "input_image", "image_url": url}]}]},
        "/ollama/api/chat": {"messages": [{"role": "user", "content": question, "images": [encoded]}], "stream": False},
    }  # fmt: skip
    response = await person.edge().post(door, json={"model": "seer", **bodies[door]})
    assert response.status_code == 200, response.text
    assert seen(platform, question) == [[digest(jpeg())]]


async def test_a_deleted_chat_takes_its_image_with_it(person: Person) -> None:
    image = await sent(person, png(shade=9))
    answer = await person.ask("What is this?", model="seer", images=[image["id"]])
    assert (await person.edge().delete(f"/api/chats/{answer.first('accepted')['chat_id']}")).status_code == 204
    assert (await person.edge(1).get(f"/api/images/{image['id']}")).status_code == 404
