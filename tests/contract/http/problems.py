"""Problems as answers have them."""

import json

import httpx

from tests.contract.http.worlds import Person

STREAM = "/api/chats/stream"


JSON = {"Content-Type": "application/json"}


def problem(response: httpx.Response, status: int, code: str) -> dict[str, object]:
    """The problem of this answer, whole."""
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    body = response.json()
    assert body["status"] == status
    assert body["code"] == code, body
    assert body["type"] == f"urn:ollamanet:problem:{code}"
    assert body["title"]
    assert body["detail"]
    assert body["request_id"] == response.headers["x-request-id"]
    return body


async def refused(person: Person, body: object, status: int, code: str, path: str = STREAM) -> dict[str, object]:
    """Post it as it is; nothing is left of it."""
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    response = await person.http.post(path, content=content, headers=JSON)
    told = problem(response, status, code)
    assert not person_has_something(person)
    return told


def person_has_something(person: Person) -> bool:
    return bool(person.world.streams.logs.open.get(person.account.id))


def asks(content: object = "Why?", **more: object) -> dict[str, object]:
    return {"model": "small", "content": content, **more}
