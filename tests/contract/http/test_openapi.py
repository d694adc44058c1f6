"""The OpenAPI document, and the page that shows it."""

import json
import re
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError

from api.schemas.events import command_events, stream_events
from contracts.generation import GenerationEvent, decode, encode, frame
from contracts.progress import encode_command_event
from tests.contract.http.worlds import Person, World

STREAM = "text/event-stream"
PROBLEM = "application/problem+json"
EVENTS = stream_events()
COMMAND_EVENTS = command_events()
GENERATIONS = [
    "POST /api/chats/stream", "GET /api/chats/{chat_id}/stream", "GET /api/generations/{generation_id}/stream",
]  # fmt: skip
COMMANDS = ["GET /api/admin/commands/{command_id}/stream"]
"""Streams of each kind."""


@pytest.fixture
async def document(client: httpx.AsyncClient) -> dict[str, Any]:
    response = await client.get("/openapi.json")
    assert response.headers["content-type"] == "application/json"
    return response.json()


def operations(document: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            yield f"{method.upper()} {path}", operation


def everything(part: object) -> Iterator[dict[str, Any]]:
    """Every object in the document."""
    if isinstance(part, dict):
        yield part
        for inner in part.values():
            yield from everything(inner)
    elif isinstance(part, list):
        for inner in part:
            yield from everything(inner)


def checker(document: dict[str, Any], schema: dict[str, Any]) -> Draft202012Validator:
    """Validates instances of a schema of the document."""
    whole = {**schema, "components": document["components"]}  # where its references lead
    return Draft202012Validator(whole, format_checker=Draft202012Validator.FORMAT_CHECKER)


def test_it_is_openapi_3_1(document: dict[str, Any]) -> None:
    assert re.fullmatch(r"3\.1\.\d", document["openapi"])
    assert document["info"]["title"] == "OllamaNet"
    assert document["info"]["version"]
    assert set(document) <= {"openapi", "info", "paths", "components", "tags", "servers", "security"}


def test_every_reference_leads_somewhere(document: dict[str, Any]) -> None:
    found = {one["$ref"] for one in everything(document) if isinstance(one.get("$ref"), str)}
    found |= {ref for one in everything(document) for ref in one.get("mapping", {}).values() if isinstance(ref, str)}
    assert found
    for ref in found:
        at: Any = document
        assert ref.startswith("#/"), ref
        for name in ref.removeprefix("#/").split("/"):
            at = at[name]


def test_every_schema_is_a_schema(document: dict[str, Any]) -> None:
    for schema in document["components"]["schemas"].values():
        Draft202012Validator.check_schema(schema)
    for one in everything(document["paths"]):
        if isinstance(one.get("schema"), dict):
            Draft202012Validator.check_schema(one["schema"])


def test_no_schema_is_unused(document: dict[str, Any]) -> None:
    used = {one["$ref"].rpartition("/")[2] for one in everything(document) if isinstance(one.get("$ref"), str)}
    assert set(document["components"]["schemas"]) == used


def test_every_operation_says_what_it_is(document: dict[str, Any]) -> None:
    tags = {one["name"] for one in document["tags"]}
    ids = [operation["operationId"] for _, operation in operations(document)]
    assert len(set(ids)) == len(ids)
    for name, operation in operations(document):
        assert set(operation["tags"]) <= tags, name
        assert operation["tags"], name
        assert operation["summary"], name
        assert operation["description"], name
        assert "HTTPValidationError" not in json.dumps(operation)
    assert "HTTPValidationError" not in document["components"]["schemas"]


def test_every_operation_has_answers_and_its_errors_are_problems(document: dict[str, Any]) -> None:
    for name, operation in operations(document):
        answers = operation["responses"]
        assert [one for one in answers if one.startswith("2")], name
        assert all(one["description"] for one in answers.values())
        for status, answer in answers.items():
            if status >= "400":
                kind, schema = ERRORS.get(name.split("/")[1], (PROBLEM, "ProblemDetails"))
                assert answer["content"] == {kind: {"schema": {"$ref": f"#/components/schemas/{schema}"}}}, name
        assert ("401" in answers) == ("security" in operation or name in REFUSES), name
        assert ("422" in answers) == ("requestBody" in operation or "parameters" in operation), name


ERRORS = {"v1": ("application/json", "OpenAIError"), "ollama": ("application/json", "OllamaError")}
"""In another API's format, by the first part of the path."""
REFUSES = {"POST /api/auth/login", "POST /api/auth/refresh"}
"""Public, and 401 all the same."""
SLOWED = {
    "POST /api/auth/signup", "POST /api/auth/login", "POST /api/chats/stream", "POST /api/chats/{chat_id}/messages",
    "POST /api/admin/dead-letters/{letter_id}/replay", "POST /v1/chat/completions", "POST /v1/responses",
    "POST /ollama/api/chat", "POST /ollama/api/generate",
    "POST /v1/embeddings", "POST /ollama/api/embed", "POST /api/images",
}  # fmt: skip
"""Those with a limit."""


def test_what_has_a_limit_says_so_and_nothing_else(document: dict[str, Any]) -> None:
    assert {name for name, operation in operations(document) if "429" in operation["responses"]} == SLOWED


def test_statuses_told_are_those_that_come(document: dict[str, Any]) -> None:
    told = {name: set(operation["responses"]) for name, operation in operations(document)}
    assert {"404", "409", "413", "503"} <= told["POST /api/chats/stream"]
    assert {"409"} <= told["POST /api/chats/{chat_id}/messages"] & told["POST /api/auth/signup"]
    assert "403" in told["POST /api/auth/login"] & told["POST /api/auth/refresh"]
    assert "400" in told["GET /api/chats"] & told["GET /api/models"]
    assert "404" not in told["GET /api/chats"] | told["POST /api/auth/signup"]
    assert "404" in told["GET /api/models/{name}"] & told["POST /api/generations/{generation_id}/cancel"]


def test_what_creates_takes_an_idempotency_key(document: dict[str, Any]) -> None:
    told = dict(operations(document))
    limited = ("POST /api/chats/stream", "POST /api/chats/{chat_id}/messages")
    for name in (*limited, "POST /api/auth/keys", "POST /api/admin/backends"):
        (key,) = [one for one in told[name]["parameters"] if one["name"] == "Idempotency-Key"]
        assert (key["in"], key["required"]) == ("header", False)
        assert key["description"]
        (text,) = [one for one in key["schema"]["anyOf"] if one["type"] == "string"]
        assert (text["minLength"], text["maxLength"], text["pattern"]) == (1, 255, "^[!-~]+$")
        assert "idempotency_mismatch" in told[name]["responses"]["422"]["description"]
        assert name not in limited or "too_many_generations" in told[name]["responses"]["429"]["description"]


def test_who_needs_a_token_is_marked(document: dict[str, Any]) -> None:
    for name, operation in operations(document):
        is_public = (name.startswith("POST /api/auth/") and not name.endswith("/keys")) or "jwks" in name
        is_public = is_public or name == "GET /ollama/api/version"
        assert ("security" in operation) == (not is_public), name
    (scheme,) = document["components"]["securitySchemes"].values()
    assert (scheme["type"], scheme["scheme"]) == ("http", "bearer")


def test_every_event_has_a_schema_and_an_example(document: dict[str, Any]) -> None:
    schemas = document["components"]["schemas"]
    names = {kind.event for kind in GenerationEvent.__args__}
    assert {type(one).event for one in EVENTS} == names
    assert set(schemas["GenerationStreamEvent"]["discriminator"]["mapping"]) == names
    for event in EVENTS:
        framed = schemas[f"{type(event).__name__}Event"]
        example = framed["example"]
        checker(document, schemas["GenerationStreamEvent"]).validate(example)
        assert decode(json.dumps({"event": example["event"], "data": example["data"]}).encode()) == event
        with pytest.raises(ValidationError):
            checker(document, framed).validate({"event": "another", "data": example["data"]})


def test_streams_show_each_event_as_it_stands_on_the_wire(document: dict[str, Any]) -> None:
    streams = [
        name
        for name, one in operations(document)
        if " /api/" in name and STREAM in one["responses"].get("200", {}).get("content", {})
    ]
    assert sorted(streams) == sorted(GENERATIONS + COMMANDS)
    for name, operation in operations(document):
        if name in COMMANDS:
            shown = operation["responses"]["200"]["content"][STREAM]["examples"]
            assert list(shown) == [type(one).event for one in COMMAND_EVENTS]
            for seq, (event, example) in enumerate(zip(COMMAND_EVENTS, shown.values(), strict=True)):
                assert frame(f"1838618214400512-{seq}", encode_command_event(event)).decode() == example["value"]
        if name in GENERATIONS:
            shown = operation["responses"]["200"]["content"][STREAM]["examples"]
            assert list(shown) == [type(one).event for one in EVENTS]
            for event, example in zip(EVENTS, shown.values(), strict=True):
                identity = re.match(r"id: (\d+-\d+)\n", example["value"])
                assert (identity is None) == (type(event).event == "queued")
                assert frame(identity and identity[1], encode(event)).decode() == example["value"]


async def test_real_answers_are_of_their_schemas(
    world: World, document: dict[str, Any], person: Person, client: httpx.AsyncClient, recording: None
) -> None:
    begun = await person.begins()
    hand = await world.by_hand(begun["generation_id"])
    await hand.says("x")
    await hand.ends()
    http, chat, generation = person.http, f"/api/chats/{begun['chat_id']}", f"/api/generations/{begun['generation_id']}"
    await person.follow(begun["generation_id"])
    login = {"email": "ada@example.org", "password": "correct horse battery"}
    answers = {
        "POST /api/auth/signup": await client.post("/api/auth/signup", json=login),
        "POST /api/auth/login": await client.post("/api/auth/login", json=login),
        "GET /api/auth/me": await http.get("/api/auth/me"),
        "POST /api/auth/keys": await http.post("/api/auth/keys", json={"name": "x"}),
        "GET /api/auth/keys": await http.get("/api/auth/keys"),
        "GET /api/chats": await http.get("/api/chats"),
        "GET /api/chats/{chat_id}": await http.get(chat),
        "PATCH /api/chats/{chat_id}": await http.patch(chat, json={"title": "x"}),
        "POST /api/chats/{chat_id}/messages": await http.post(
            f"{chat}/messages", json={"model": "small", "content": "x"}
        ),
        "GET /api/generations/{generation_id}": await http.get(generation),
        "POST /api/generations/{generation_id}/cancel": await http.post(f"{generation}/cancel"),
        "GET /api/models": await http.get("/api/models"),
        "GET /api/models/{name}": await http.get("/api/models/small"),
    }
    admin = (await world.person(role="admin")).http
    backends, letters = "/api/admin/backends", "/api/admin/dead-letters"
    new = {"name": "gpu", "kind": "ollama", "url": "https://9.9.9.9"}
    answers |= {
        "POST /api/admin/backends": await admin.post(backends, json=new),
        "GET /api/admin/backends": await admin.get(backends),
        "GET /api/admin/backends/{name}": await admin.get(f"{backends}/gpu"),
        "PATCH /api/admin/backends/{name}": await admin.patch(f"{backends}/gpu", json={"slots": 2}),
        "GET /api/admin/audit": await admin.get("/api/admin/audit"),
        "GET /api/admin/dead-letters": await admin.get(letters),
    }
    told = dict(operations(document))
    for name, response in answers.items():
        answer = told[name]["responses"][str(response.status_code)]
        checker(document, answer["content"]["application/json"]["schema"]).validate(response.json())
    refused = await http.post("/api/chats/stream", json={})
    checker(document, document["components"]["schemas"]["ProblemDetails"]).validate(refused.json())


async def test_examples_of_bodies_are_accepted(document: dict[str, Any]) -> None:
    for name, operation in operations(document):
        if "application/json" in operation.get("requestBody", {}).get("content", ()):
            ref = operation["requestBody"]["content"]["application/json"]["schema"]["$ref"].rpartition("/")[2]
            schema = document["components"]["schemas"][ref]
            body = {key: one["examples"][0] for key, one in schema["properties"].items() if one.get("examples")}
            assert set(schema.get("required", ())) <= set(body), name
            checker(document, schema).validate(body)


# The page


@pytest.mark.parametrize("page", ["/", "/docs"])
async def test_pages_need_no_foreign_host(client: httpx.AsyncClient, page: str) -> None:
    response = await client.get(page)
    assert response.headers["content-type"] == "text/html; charset=utf-8"
    policy = response.headers["content-security-policy"]
    assert "unsafe" not in policy
    assert "http" not in policy
    ours = str(client.base_url).rstrip("/")
    for path in (page, *assets_of(response.text)):
        text = response.text if path == page else (await client.get(path)).text
        if "/swagger/" in path or "/assets/web/" in path:
            continue  # libraries are in it; their source may name hosts, and the policy lets it call none
        foreign = [one for one in re.findall(r"https?://[^\s\"'<)]+", text) if not one.startswith((ours, SVG))]
        assert not foreign, path
        assert "//" not in re.sub(r"https?://|^\s*//.*$", "", text, flags=re.MULTILINE), path


SVG = "http://www.w3.org/2000/svg"
"""A name, which nobody fetches."""


def assets_of(page: str) -> list[str]:
    return re.findall(r'(?:src|href)="(/assets/[^"]+)"', page)


@pytest.mark.parametrize("page", ["/", "/docs"])
async def test_pages_do_nothing_that_their_policy_forbids(client: httpx.AsyncClient, page: str) -> None:
    text = (await client.get(page)).text
    assert not re.search(r"<script(?![^>]*\ssrc=)[^>]*>", text), "a script in the page"
    assert "<style" not in text
    assert not re.search(r"\s(style|on\w+)=", text)
    assert assets_of(text)
    for asset in assets_of(text):
        response = await client.get(asset)
        assert response.status_code == 200, asset
        assert response.content
        kind = {"css": "text/css", "js": "javascript", "svg": "image/svg+xml"}[asset.rpartition(".")[2]]
        assert kind in response.headers["content-type"]


async def test_the_page_shows_a_version_that_knows_openapi_3_1(client: httpx.AsyncClient) -> None:
    bundle = (await client.get("/assets/swagger/swagger-ui-bundle.js")).text
    assert "openapi" in bundle
    assert "isOAS31" in bundle
