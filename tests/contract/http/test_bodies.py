"""Bodies: what is JSON, what is too large, what is against the schema, and odd text that is text."""

import asyncio
import json
from collections.abc import AsyncGenerator

import pytest

from contracts.ids import is_id
from tests.contract.http.problems import JSON, STREAM, asks, problem, refused
from tests.contract.http.wire import Line
from tests.contract.http.worlds import Person, World
from tests.eventually import eventually


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
