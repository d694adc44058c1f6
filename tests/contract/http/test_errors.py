"""What goes wrong, as clients see it: one shape, honest statuses, nothing left behind, nothing of the inside."""

import asyncio
import json
import re
from collections.abc import AsyncGenerator

import httpx
import pytest
from fastapi import APIRouter

from contracts.commands import GenerateReply
from contracts.errors import Overloaded, Unavailable, Unroutable
from contracts.ids import is_id, new_id
from tests.contract.http.conftest import StartWorld
from tests.contract.http.wire import Line
from tests.contract.http.worlds import Person, World
from tests.eventually import eventually

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


# Routes, methods, tokens


@pytest.mark.parametrize("path", ["/nothing", "/api", "/api/", "/api/nothing", "/api/chats/", "/v1/nothing", "/docs/"])
async def test_a_path_that_is_not_there(client: httpx.AsyncClient, path: str) -> None:
    problem(await client.get(path), 404, "not_found")


async def test_a_file_that_is_not_there(client: httpx.AsyncClient) -> None:
    for path in ("/assets/nothing.css", "/assets/swagger/../../app.py", "/assets/%2e%2e/app.py", "/assets/..%2fapp.py"):
        problem(await client.get(path), 404, "not_found")


async def test_a_method_that_the_path_does_not_take(client: httpx.AsyncClient) -> None:
    response = await client.put("/api/chats")
    problem(response, 405, "method_not_allowed")
    assert "GET" in response.headers["allow"]
    problem(await client.post("/assets/home.css"), 405, "method_not_allowed")


async def test_no_token_says_which_scheme(client: httpx.AsyncClient) -> None:
    response = await client.get("/api/chats")
    problem(response, 401, "not_logged_in")
    assert response.headers["www-authenticate"] == "Bearer"


# Bodies


@pytest.mark.parametrize(
    "raw",
    [
        b"{",
        b"nonsense",
        b'{"model":"small",}',
        b"\xff\xfe",
        b"[" * 100_000,
        b'{"a":' * 5000,
    ],
)
async def test_what_is_not_json(person: Person, raw: bytes) -> None:
    await refused(person, raw, 400, "malformed_json")


async def test_nesting_as_deep_as_the_parser_takes_is_against_the_schema(person: Person) -> None:
    for depth in (40, 200, 400, 900):
        schema = b'{"a":' * depth + b"1" + b"}" * depth
        for field in (b'"format":' + schema, b'"tools":[' + schema + b"]"):
            response = await person.http.post(
                STREAM, content=b'{"model":"small","content":"x",' + field + b"}", headers=JSON
            )
            assert response.status_code in (400, 422), depth
            assert response.json()["code"] in ("malformed_json", "invalid")


@pytest.mark.parametrize(
    "kind",
    [
        "text/plain",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "",
        "application/jsonp",
        "json",
    ],
)
async def test_another_content_type(person: Person, kind: str) -> None:
    content = json.dumps(asks()).encode()
    problem(
        await person.http.post(STREAM, content=content, headers={"Content-Type": kind}), 415, "unsupported_media_type"
    )


@pytest.mark.parametrize(
    "kind", ["application/json; charset=utf-8", "APPLICATION/JSON", "application/cloudevents+json"]
)
async def test_json_by_its_other_names(person: Person, kind: str) -> None:
    content = json.dumps({"display_name": "Ada"}).encode()
    response = await person.http.patch("/api/auth/me", content=content, headers={"Content-Type": kind})
    assert response.status_code == 200


async def test_a_body_over_a_mebibyte_announced(person: Person) -> None:
    told = await refused(person, asks("x" * 1024 * 1024), 413, "body_too_large")
    assert "1048576" in str(told["detail"])


async def test_a_body_over_a_mebibyte_in_chunks(person: Person) -> None:
    async def chunks() -> AsyncGenerator[bytes, None]:
        for _ in range(17):
            yield b" " * 64 * 1024

    problem(await person.http.post(STREAM, content=chunks(), headers=JSON), 413, "body_too_large")


async def test_a_length_that_is_none(world: World, person: Person) -> None:
    """What a server may let through."""
    for length in ("9" * 5000, "99999999999999999", "\xb2", "-1", "x"):
        sent: list[dict[str, object]] = []
        headers = [
            (b"authorization", person.headers["Authorization"].encode()), (b"content-type", b"application/json"),
            (b"content-length", length.encode("latin-1")),
        ]  # fmt: skip
        scope = {
            "type": "http", "method": "POST", "path": STREAM, "raw_path": STREAM.encode(), "query_string": b"",
            "headers": headers, "scheme": "http", "client": ("127.0.0.1", 1), "http_version": "1.1",
        }  # fmt: skip

        async def receive() -> dict[str, object]:
            return {"type": "http.request", "body": b"{}", "more_body": False}

        async def send(message: dict[str, object], sent: list[dict[str, object]] = sent) -> None:
            sent.append(message)

        await world.app(scope, receive, send)
        assert sent[0]["status"] == (413 if length.isdecimal() else 422), length


async def test_content_over_256_kib_of_utf8(person: Person) -> None:
    for content in ("x" * (256 * 1024 + 1), "é" * (128 * 1024) + "x", "😀" * (64 * 1024) + "x"):
        told = await refused(person, json.dumps(asks(content), ensure_ascii=False).encode(), 413, "content_too_large")
        assert told["limit"] == 256 * 1024


async def test_content_of_256_kib_is_not_too_large(world: World, person: Person) -> None:
    await world.serves("long", context_length=1_000_000)
    begun = await person.begins("x" * 256 * 1024, model="long")
    assert is_id(begun["generation_id"])


async def test_a_question_longer_than_its_model_takes(world: World, person: Person) -> None:
    await world.serves("tiny", context_length=512)
    told = await refused(person, asks("word " * 1000, model="tiny"), 413, "context_too_long")
    assert told["limit"] == 512
    told = await refused(person, asks("Hi", model="tiny", system="word " * 1000), 413, "context_too_long")
    assert told["limit"] == 512


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({}, "/model"),
        ({"content": "x"}, "/model"),
        (asks(""), "/content"),
        (asks(" \n\t\u2003"), "/content"),
        (asks(None), "/content"),
        (asks(1), "/content"),
        (asks(["x"]), "/content"),
        (asks(model=""), "/model"),
        (asks(model="x" * 201), "/model"),
        (asks(options={"top_p": 2}), "/options/top_p"),
        (asks(options={"top_k": 2**31}), "/options/top_k"),
        (asks(options={"seed": 2**63}), "/options/seed"),
        (asks(options={"max_tokens": 0}), "/options/max_tokens"),
        (asks(options={"presence_penalty": 3}), "/options/presence_penalty"),
        (asks(options={"stop": ["x"] * 17}), "/options/stop"),
        (asks(options={"a/b~c": 1}), "/options/a~1b~0c"),
        (asks(options=[]), "/options"),
        (asks(system="x" * 65_537), "/system"),
        (asks(tools=[1]), "/tools/0"),
        (asks(tools=[{}] * 129), "/tools"),
        ([], ""),
        ("text", ""),
        (None, ""),
    ],
)
async def test_what_is_against_the_schema_says_where(person: Person, body: object, pointer: str) -> None:
    told = await refused(person, body, 422, "invalid")
    assert pointer in [one["pointer"] for one in told["errors"]]
    assert all(set(one) == {"pointer", "detail"} and one["detail"] for one in told["errors"])


async def test_a_number_that_is_none(person: Person) -> None:
    for word in ("NaN", "Infinity", "-Infinity", "1e999"):
        for field in (
            '"options":{"temperature":%s}',
            '"options":{"presence_penalty":%s}',
            '"format":{"a":%s}',
            '"tools":[{"a":[%s]}]',
        ):
            body = '{"model":"small","content":"x",' + field % word + "}"
            await refused(person, body.encode(), 422, "invalid")


async def test_numbers_that_no_server_takes(person: Person) -> None:
    for number in (2**63, -(2**63) - 1, 10**400):
        await refused(person, asks(tools=[{"a": {"b": number}}]), 422, "invalid")


async def test_half_a_surrogate_pair_is_no_text(person: Person) -> None:
    for body in (
        r'{"model":"small","content":"\ud800"}',
        r'{"model":"\udfff","content":"x"}',
        r'{"model":"small","content":"x","system":"\ud800"}',
        r'{"model":"small","content":"x","options":{"\ud800":1}}',
        r'{"model":"small","content":"x","options":{"stop":["\ud800"]}}',
        r'{"model":"small","content":"x","tools":[{"a":"\ud800"}]}',
        r'{"model":"small","content":"x","tools":[{"\ud800":1}]}',
        r'{"model":"small","content":"x","format":{"a":[{"b":"\udc00\ud800"}]}}',
    ):
        await refused(person, body.encode(), 422, "invalid")
    for path, body in (
        ("/api/auth/login", r'{"email":"\ud800@example.org","password":"long enough 1"}'),
        ("/api/auth/login", r'{"email":"a@example.org","password":"\ud800 long enough"}'),
        ("/api/auth/refresh", r'{"refresh_token":"\ud800"}'),
        ("/api/auth/logout", r'{"refresh_token":"\ud800"}'),
    ):
        problem(await person.http.post(path, content=body.encode(), headers=JSON), 422, "invalid")


async def test_a_hundred_thousand_mistakes_are_a_short_answer(person: Person) -> None:
    options = {f"o{number}": 1 for number in range(50_000)}
    told = await refused(person, asks(options=options), 422, "invalid")
    assert len(told["errors"]) == 20
    told = await refused(person, asks(options={"x" * 500_000: 1}), 422, "invalid")
    assert len(json.dumps(told)) < 2000


@pytest.mark.parametrize(
    "content", ["\x00", "a\x00b", "\x1b[31m", "😀" * 10, "\u202e\u2066", "\r\n.\r\n", "\ufffe\uffff", "0"]
)
async def test_odd_text_is_text(world: World, person: Person, recording: None, content: str) -> None:
    begun = await person.begins(content)
    (await world.ports.streams.read([begun["generation_id"]]))[0]
    hand = await world.by_hand(begun["generation_id"])
    await hand.says(content)
    await hand.ends()
    assert (await person.follow(begun["generation_id"])).text == content

    async def is_recorded() -> bool:
        return await world.ports.chats.reply(person.account.id, begun["generation_id"]) is not None

    await eventually(is_recorded)
    messages = (await person.chat(begun["chat_id"]))["messages"]
    assert [one["content"] for one in messages] == [content, content]
    assert (await person.http.get("/api/chats")).json()["items"][0]["id"] == begun["chat_id"]


async def test_of_names_given_twice_the_last_one_counts(person: Person) -> None:
    body = b'{"display_name":"first","display_name":"second"}'
    response = await person.http.patch("/api/auth/me", content=body, headers=JSON)
    assert response.json()["display_name"] == "second"


async def test_the_title_of_a_chat_has_bounds(person: Person) -> None:
    chat = (await person.begins())["chat_id"]
    for title in ("", "  ", "x" * 201, 1, []):
        response = await person.http.patch(f"/api/chats/{chat}", json={"title": title})
        problem(response, 422, "invalid")


# Models and servers that are not there


async def test_an_unknown_model(person: Person) -> None:
    for name in ("nothing", "small2", "small:7b", "../small", "small\n", "☃"):
        told = await refused(person, asks(model=name), 404, "unknown_model")
        assert repr(name) in str(told["detail"])
    problem(await person.http.get("/api/models/nothing"), 404, "unknown_model")


async def test_a_known_model_that_nobody_serves(world: World, person: Person) -> None:
    await world.serves("asleep", served_by=())
    response = await person.http.post(STREAM, json=asks(model="asleep"))
    problem(response, 503, "model_unavailable")
    assert int(response.headers["retry-after"]) > 0
    assert not world.bus.published


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (Unavailable("the bus is down"), "unavailable"),
        (Overloaded("the queue is full"), "overloaded"),
        (Unroutable("no queue"), "no_worker"),
        (RuntimeError("secret inside"), "internal"),
    ],
)
async def test_a_command_that_cannot_be_published_leaves_nothing(
    world: World, person: Person, recording: None, error: Exception, code: str
) -> None:
    world.bus.fails[GenerateReply] = error
    response = await person.http.post(STREAM, json=asks())
    problem(response, 500 if code == "internal" else 503, code)
    assert "secret" not in response.text
    if code != "internal":
        after = int(response.headers["retry-after-ms"])
        assert 0 < after <= 1000 * int(response.headers["retry-after"])
    assert await world.nothing_is_left(person.account.id)
    assert (await person.http.get("/api/chats")).json()["items"] == []
    del world.bus.fails[GenerateReply]
    assert await person.begins()


async def test_a_command_that_cannot_be_published_does_not_block_its_chat(
    world: World, person: Person, recording: None
) -> None:
    first = await person.begins()
    hand = await world.by_hand(first["generation_id"])
    await hand.ends()
    await person.follow(first["generation_id"])
    world.bus.fails[GenerateReply] = Unavailable("down")
    path = f"/api/chats/{first['chat_id']}/messages"
    for _ in range(2):
        problem(await person.http.post(path, json=asks()), 503, "unavailable")
    del world.bus.fails[GenerateReply]
    assert (await person.http.post(path, json=asks())).status_code == 202


async def test_a_pool_that_never_had_a_worker(start: StartWorld) -> None:
    world = await start(pools=())
    person = await world.person()
    response = await person.http.post(STREAM, json=asks())
    problem(response, 503, "no_worker")
    assert int(response.headers["retry-after"]) >= 1
    assert await world.nothing_is_left(person.account.id)


# Lists and ids


@pytest.mark.parametrize("path", ["/api/chats", "/api/models"])
async def test_limits_and_cursors_of_lists(person: Person, path: str) -> None:
    for limit in ("0", "101", "-1", "x", "1.5", "", "9" * 400):
        told = problem(await person.http.get(path, params={"limit": limit}), 422, "invalid")
        assert told["errors"][0]["pointer"] == "/limit"
    for limit in (1, 100):
        assert (await person.http.get(path, params={"limit": limit})).status_code == 200
    for cursor in ("x", "AAAA", "eyJhIjoxfQ==", "💥", "' OR 1=1 --", "a" * 400, "\x00"):
        problem(await person.http.get(path, params={"cursor": cursor}), 400, "bad_cursor")
    problem(await person.http.get(path, params={"cursor": "a" * 501}), 422, "invalid")


@pytest.mark.parametrize("path", ["/api/chats/{}", "/api/generations/{}", "/api/generations/{}/stream"])
async def test_an_id_that_is_none_of_ours(person: Person, path: str) -> None:
    for name in ("1", "x", new_id(), new_id().upper(), "%00", "..%2F", "a" * 5000, "{}", "' OR 1=1", "%F0%9F%92%A5"):
        problem(await person.http.get(path.format(name)), 404, "not_found")


async def test_an_id_that_is_none_of_ours_takes_nothing(person: Person) -> None:
    for name in ("1", new_id()):
        problem(await person.http.delete(f"/api/chats/{name}"), 404, "not_found")
        problem(await person.http.patch(f"/api/chats/{name}", json={"title": "x"}), 404, "not_found")
        problem(await person.http.post(f"/api/chats/{name}/messages", json=asks()), 404, "not_found")
        problem(await person.http.post(f"/api/generations/{name}/cancel"), 404, "not_found")
        await refused(person, asks(chat_id=name), 404, "not_found")
    await refused(person, asks(parent_id="x"), 404, "not_found")
    await refused(person, asks(parent_id=new_id()), 404, "not_found")


async def test_a_query_string_of_a_megabyte_harms_nobody(client: httpx.AsyncClient, person: Person) -> None:
    response = await person.http.get("/api/models", params={"q": "x" * 60_000})
    problem(response, 422, "invalid")
    assert len(response.content) < 2000
    assert (await client.get("/livez")).status_code == 200


# Headers


async def test_the_request_id_is_given_back(client: httpx.AsyncClient) -> None:
    for own in ("abc", "a.b:c_d-1", "A" * 128, new_id()):
        assert (await client.get("/livez", headers={"X-Request-Id": own})).headers["x-request-id"] == own
    minted = (await client.get("/livez")).headers["x-request-id"]
    assert is_id(minted)


@pytest.mark.parametrize(
    "hostile", [b"a b", b"a" * 129, b"<script>", b"\xe9", b"a\tb", b"${jndi:ldap://x}", b"a,b", b"%0d%0aX: y"]
)
async def test_a_hostile_request_id_is_replaced(client: httpx.AsyncClient, hostile: bytes) -> None:
    response = await client.get("/nothing", headers=[(b"X-Request-Id", hostile)])
    assert is_id(response.headers["x-request-id"])
    problem(response, 404, "not_found")


@pytest.mark.parametrize(
    "hostile",
    ["", "x", "00-" + "0" * 32 + "-" + "0" * 16 + "-00", "ff-" + "1" * 32 + "-" + "1" * 16 + "-01", "1" * 9000],
)
async def test_a_hostile_traceparent_is_ignored(client: httpx.AsyncClient, hostile: str) -> None:
    assert (await client.get("/livez", headers={"traceparent": hostile})).status_code == 200


@pytest.mark.parametrize(
    "hostile", ["evil.example", '"><script>alert(1)</script>', "x y", "a@b", "$(reboot)", "a'b", "[::1]:80"]
)
async def test_a_hostile_host_is_in_no_page(world: World, hostile: str) -> None:
    async with Line(world.url) as line:
        await line.sends(f"GET / HTTP/1.1\r\nHost: {hostile}\r\nConnection: close\r\n\r\n".encode())
        await line.begins()
        page = (await line.reader.read()).decode()
    assert line.status == 200
    assert "location" not in line.headers
    if not re.fullmatch(r"[a-z0-9.:\[\]]+", hostile):
        assert hostile not in page
        assert "<script>" not in page


async def test_headers_of_safety_are_on_everything(client: httpx.AsyncClient, person: Person, recording: None) -> None:
    begun = await person.begins()
    answers = [
        await client.get("/"), await client.get("/docs"), await client.get("/openapi.json"), await client.get("/livez"),
        await client.get("/assets/home.css"), await client.get("/nothing"), await client.put("/api/chats"),
        await client.get("/api/chats"), await client.post("/api/auth/login", content=b"x"), await person.http.get("/api/chats"),
        await person.http.post(f"/api/generations/{begun['generation_id']}/cancel"),
        await person.http.get(f"/api/generations/{begun['generation_id']}/stream", timeout=10),
    ]  # fmt: skip
    for one in answers:
        assert one.headers["x-content-type-options"] == "nosniff", one.url
        assert one.headers["referrer-policy"] == "no-referrer"
        assert one.headers["x-request-id"]
        assert "server" not in one.headers
        assert "access-control-allow-origin" not in one.headers
        assert "strict-transport-security" not in one.headers  # not over TLS
        assert one.headers.get("cache-control", "").startswith("no-store") == one.url.path.startswith("/api/"), one.url
        is_page = one.headers["content-type"].startswith("text/html")
        assert is_page == ("content-security-policy" in one.headers)
        if is_page:
            policy = one.headers["content-security-policy"]
            assert "unsafe" not in policy
            assert "frame-ancestors 'none'" in policy
            assert "default-src 'none'" in policy


async def test_over_tls_browsers_are_told_to_stay_there(start: StartWorld) -> None:
    world = await start(behind_proxy=True)
    async with httpx.AsyncClient(base_url=world.url) as client:
        response = await client.get("/livez", headers={"X-Forwarded-Proto": "https"})
    assert response.headers["strict-transport-security"].startswith("max-age=")


async def test_other_origins_get_no_word(client: httpx.AsyncClient) -> None:
    asked = {"Origin": "https://evil.example", "Access-Control-Request-Method": "POST"}
    response = await client.options("/api/chats/stream", headers=asked)
    assert response.status_code == 405
    assert not [name for name in response.headers if name.startswith("access-control-")]


# Limits


async def test_questions_beyond_the_limit(start: StartWorld) -> None:
    world = await start(chats_per_minute=2)
    person, other = await world.person(), await world.person()
    first = await person.http.post(STREAM, json=asks(model="nothing"))
    assert first.headers["ratelimit-policy"] == '"chats";q=2;w=60'
    assert re.fullmatch(r'"chats";r=1;t=\d+', first.headers["ratelimit"])
    async with person.http.stream("POST", STREAM, json=asks()) as second:
        assert second.status_code == 200
        assert second.headers["ratelimit"].startswith('"chats";r=0;t=')
    third = await person.http.post(STREAM, json=asks())
    problem(third, 429, "rate_limited")
    assert 0 < int(third.headers["retry-after"]) <= 30
    assert abs(int(third.headers["retry-after-ms"]) - 30_000) < 5000
    assert third.headers["ratelimit"].startswith('"chats";r=0;t=')
    assert (await other.http.post(STREAM, json=asks(model="nothing"))).status_code == 404


async def test_logins_beyond_the_limit(start: StartWorld) -> None:
    world = await start(logins_per_minute=2)
    async with httpx.AsyncClient(base_url=world.url, timeout=30) as client:

        async def log_in(email: str, **headers: str) -> httpx.Response:
            body = {"email": email, "password": "not the password"}
            return await client.post("/api/auth/login", json=body, headers=headers)

        assert [(await log_in("a@example.org")).status_code for _ in range(2)] == [401, 401]
        problem(await log_in("A@example.org "), 429, "rate_limited")
        spoofed = await log_in("a@example.org", **{"X-Forwarded-For": "203.0.113.9", "Forwarded": "for=203.0.113.9"})
        problem(spoofed, 429, "rate_limited")
        assert [(await log_in(f"{n}@example.org")).status_code for n in range(3)] == [401, 401, 429]


async def test_sign_ups_beyond_the_limit(start: StartWorld) -> None:
    world = await start(signups_per_hour=1)
    async with httpx.AsyncClient(base_url=world.url, timeout=30) as client:
        body = {"email": "a@example.org", "password": "long enough 1"}
        assert (await client.post("/api/auth/signup", json=body)).status_code == 201
        told = await client.post("/api/auth/signup", json={**body, "email": "b@example.org"})
        problem(told, 429, "rate_limited")
        assert told.headers["ratelimit-policy"] == '"signups";q=1;w=3600'


# The inside


async def test_what_nobody_foresaw_tells_nothing_of_the_inside(world: World, client: httpx.AsyncClient) -> None:
    router = APIRouter()

    @router.get("/api/crash")
    async def crash() -> None:
        raise RuntimeError("password=hunter2 at /srv/secret.py")

    world.app.include_router(router)
    response = await client.get("/api/crash")
    told = problem(response, 500, "internal")
    assert "hunter2" not in response.text
    assert "Traceback" not in response.text
    assert "secret.py" not in response.text
    assert told["request_id"] in str(response.headers)


async def test_a_body_that_does_not_come_is_not_waited_for_for_ever(
    world: World, person: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("api.middleware.BODY_TIMEOUT", 0.05)
    async with Line(world.url) as line, asyncio.timeout(5):
        await line.sends(
            b"POST /api/auth/login HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 9\r\n\r\n{"
        )
        await line.begins()
        assert line.status == 408
