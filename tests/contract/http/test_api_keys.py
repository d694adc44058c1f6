"""API keys, from their making to their end."""

import asyncio
import json
from datetime import UTC, datetime, timedelta

import httpx
import pytest
from structlog.testing import capture_logs

from api.security import key_uses
from contracts.ids import new_id
from contracts.records import ApiKey
from infra.process.redaction import without_secrets
from tests.contract.http.conftest import StartWorld
from tests.contract.http.following import path
from tests.contract.http.problems import STREAM, asks, problem
from tests.contract.http.wire import Line
from tests.contract.http.worlds import ByHand, Person, World, bearing
from tests.eventually import eventually

KEYS = "/api/auth/keys"
SHOWN = {"id", "name", "prefix", "scopes", "created_at", "expires_at", "last_used_at"}
HOUR = timedelta(hours=1)


async def made(person: Person, name: str = "A program", **more: object) -> dict[str, object]:
    answer = await person.http.post(KEYS, json={"name": name, **more})
    assert answer.status_code == 201, answer.text
    return answer.json()


async def listed(person: Person, **query: object) -> list[dict[str, object]]:
    answer = await person.http.get(KEYS, params=query)
    assert answer.status_code == 200, answer.text
    return answer.json()["items"]


async def with_key(client: httpx.AsyncClient, secret: object, at: str = "/api/models") -> httpx.Response:
    return await client.get(at, headers={"Authorization": f"Bearer {secret}"})


# Making


async def test_the_secret_is_shown_once_and_kept_nowhere(world: World, person: Person) -> None:
    key = await made(person, "My notebook", scopes=["read"])
    secret = str(key.pop("secret"))
    assert set(key) == SHOWN
    assert secret.startswith("on_")
    assert len(secret) == 3 + 43  # 256 bits
    assert secret.startswith(str(key["prefix"]))
    assert len(str(key["prefix"])) == 11
    assert (key["name"], key["scopes"], key["expires_at"], key["last_used_at"]) == ("My notebook", ["read"], None, None)
    assert await listed(person) == [key]
    kept = await world.ports.api_keys.page(person.account.id, 10, None)
    assert secret[11:] not in kept.model_dump_json()
    rest = secret[12:].encode()
    folder = world.database.path.parent
    assert not [one for one in folder.iterdir() if rest in one.read_bytes()]


async def test_no_two_secrets_are_alike(person: Person) -> None:
    secrets = {str((await made(person))["secret"]) for _ in range(5)}
    assert len(secrets) == 5


async def test_a_key_without_wishes_may_chat_and_read(person: Person) -> None:
    assert (await made(person))["scopes"] == ["chat", "read"]
    assert (await made(person, scopes=["read", "chat", "read"]))["scopes"] == ["read", "chat"]


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({}, "/name"),
        ({"name": ""}, "/name"),
        ({"name": "  "}, "/name"),
        ({"name": "x" * 101}, "/name"),
        ({"name": 1}, "/name"),
        ({"name": "\ud800"}, "/name"),
        ({"name": "x", "scopes": []}, "/scopes"),
        ({"name": "x", "scopes": ["write"]}, "/scopes/0"),
        ({"name": "x", "scopes": ["read", "admin"]}, "/scopes/1"),
        ({"name": "x", "scopes": "read"}, "/scopes"),
        ({"name": "x", "scopes": ["read"] * 11}, "/scopes"),
        ({"name": "x", "expires_at": "2020-01-01T00:00:00Z"}, "/expires_at"),
        ({"name": "x", "expires_at": "2036-01-01T00:00:00"}, "/expires_at"),
        ({"name": "x", "expires_at": "soon"}, "/expires_at"),
        ({"name": "x", "expires_at": 1e400}, "/expires_at"),
    ],
    ids=str,
)
async def test_what_is_no_key_is_refused(person: Person, body: dict[str, object], pointer: str) -> None:
    answer = await person.http.post(KEYS, content=json.dumps(body), headers={"Content-Type": "application/json"})
    told = problem(answer, 422, "invalid")
    assert [one["pointer"] for one in told["errors"]] == [pointer]
    assert await listed(person) == []


async def test_names_of_any_script_are_kept(person: Person) -> None:
    for name in ("é" * 100, "🦙", "{{7*7}}", "' OR 1=1 --", "a\tb", "$where", "\u202eabc"):
        assert (await made(person, f" {name} "))["name"] == name
    assert len(await listed(person)) == 7


async def test_an_end_in_any_time_zone_is_that_moment(person: Person) -> None:
    key = await made(person, expires_at="2036-01-01T01:00:00.123456+01:00")
    assert key["expires_at"] == "2036-01-01T00:00:00.123000Z"
    assert (await listed(person))[0]["expires_at"] == key["expires_at"]


async def test_a_person_has_at_most_fifty(person: Person, other_person: Person) -> None:
    for _ in range(50):
        await person.key()
    told = problem(await person.http.post(KEYS, json={"name": "x"}), 409, "too_many_keys")
    assert told["limit"] == 50
    await made(other_person)
    newest = (await listed(person))[0]
    assert (await person.http.delete(f"{KEYS}/{newest['id']}")).status_code == 204
    await made(person)
    problem(await person.http.post(KEYS, json={"name": "x"}), 409, "too_many_keys")


# Making again


async def again(person: Person, key: str, **body: object) -> httpx.Response:
    return await person.http.post(KEYS, json={"name": "x", **body}, headers={"Idempotency-Key": key})


async def test_a_repeat_gets_the_same_key(world: World, person: Person, client: httpx.AsyncClient) -> None:
    answers = await asyncio.gather(*(again(person, "k") for _ in range(4)))
    assert {one.status_code for one in answers} == {201}
    assert len({one.text for one in answers}) == 1
    assert len(await listed(person)) == 1
    assert (await with_key(client, answers[0].json()["secret"])).status_code == 200


async def test_another_key_another_person_another_platform_has_another_secret(
    start: StartWorld, world: World, person: Person, other_person: Person
) -> None:
    elsewhere = await (await start()).person(email="a@example.org")
    other_world_same_account = await again(elsewhere, "k")
    answers = [
        await again(person, "k"),
        await again(person, "l"),
        await again(other_person, "k"),
        other_world_same_account,
    ]
    assert len({one.json()["secret"] for one in answers}) == 4


@pytest.mark.parametrize("changes", [{"name": "y"}, {"scopes": ["read"]}, {"expires_at": "2036-01-01T00:00:00Z"}])
async def test_another_body_under_the_same_key_is_refused(person: Person, changes: dict[str, object]) -> None:
    assert (await again(person, "k")).status_code == 201
    problem(await again(person, "k", **changes), 422, "idempotency_mismatch")
    assert len(await listed(person)) == 1


async def test_a_repeat_is_answered_to_who_may_have_no_more(person: Person) -> None:
    first = await again(person, "k")
    for _ in range(49):
        await person.key()
    assert (await again(person, "k")).text == first.text
    problem(await again(person, "l"), 409, "too_many_keys")


# Listing


async def test_the_list_is_paged_the_newest_first(person: Person, other_person: Person) -> None:
    names = [str(number) for number in range(5)]
    for name in names:
        await made(person, name)
    await made(other_person)
    found: list[object] = []
    query: dict[str, object] = {"limit": 2}
    while True:
        page = (await person.http.get(KEYS, params=query)).json()
        found += [one["name"] for one in page["items"]]
        if page["next_cursor"] is None:
            break
        query["cursor"] = page["next_cursor"]
    assert found == names[::-1]


async def test_no_list_shows_a_secret_or_its_hash(person: Person) -> None:
    secret = str((await made(person))["secret"])
    kept = (await person.world.ports.api_keys.page(person.account.id, 1, None)).items[0]
    text = (await person.http.get(KEYS)).text
    assert secret not in text
    assert kept.hash not in text
    assert "hash" not in text
    assert "owner" not in text


# Being used


async def test_a_program_asks_follows_and_reads_as_its_person(
    world: World, person: Person, client: httpx.AsyncClient, recording: None
) -> None:
    headers = {"Authorization": f"Bearer {(await made(person))['secret']}"}
    answer = await client.post(f"/api/chats/{new_id()}/messages", json=asks(), headers=headers)
    problem(answer, 404, "not_found")
    async with client.stream("POST", STREAM, json=asks("Why?"), headers=headers) as asking:
        assert asking.status_code == 200
        await anext(asking.aiter_lines())
    chats = (await client.get("/api/chats", headers=headers)).json()["items"]
    assert [one["title"] for one in chats] == ["Why?"]
    assert (await person.chat(chats[0]["id"]))["id"] == chats[0]["id"]


async def test_a_key_cannot_make_keys_or_see_them(person: Person, client: httpx.AsyncClient) -> None:
    headers = bearing(await person.key("chat", "read"))
    (key,) = await listed(person)
    for method, at in (("POST", KEYS), ("GET", KEYS), ("DELETE", f"{KEYS}/{key['id']}")):
        json = {"name": "x"} if method == "POST" else None
        problem(await client.request(method, at, json=json, headers=headers), 403, "not_permitted")
    assert len(await listed(person)) == 1


async def test_an_administrators_key_does_not_administer(world: World, client: httpx.AsyncClient) -> None:
    admin = await world.person(role="admin")
    answer = await client.get("/api/admin/dead-letters", headers=bearing(await admin.key("chat", "read")))
    problem(answer, 403, "not_permitted")


async def test_a_scope_of_a_newer_version_permits_nothing(person: Person, client: httpx.AsyncClient) -> None:
    key = await person.key(scopes=("everything",))
    problem(await with_key(client, key.name), 403, "not_permitted")
    both = await person.key(scopes=("everything", "read"))
    assert (await with_key(client, both.name)).status_code == 200


async def test_limits_and_caps_are_the_persons_whatever_they_come_with(start: StartWorld) -> None:
    world = await start(chats_per_minute=3, live_generations=2)
    person = await world.person()
    keys = [bearing(await person.key("chat")) for _ in range(2)]
    async with httpx.AsyncClient(base_url=world.url) as client:
        await begins(client, person.headers)
        await begins(client, keys[0])
        problem(await client.post(STREAM, json=asks(), headers=keys[1]), 429, "too_many_generations")
        refused = await client.post(STREAM, json=asks(), headers=keys[0])
        problem(refused, 429, "rate_limited")
        assert refused.headers["ratelimit"].startswith('"chats";r=0;')


async def begins(client: httpx.AsyncClient, headers: dict[str, str]) -> str:
    """Ask and hang up; the generation's id."""
    async with client.stream("POST", STREAM, json=asks(), headers=headers) as asking:
        assert asking.status_code == 200, await asking.aread()
        async for line in asking.aiter_lines():
            if line.startswith("data: "):
                return line.partition('"generation_id":"')[2][:36]
    raise AssertionError("nothing was accepted")


async def test_equal_idempotency_keys_of_two_programs_never_meet(person: Person, client: httpx.AsyncClient) -> None:
    callers = [person.headers, bearing(await person.key("chat")), bearing(await person.key("chat"))]
    same = {"Idempotency-Key": "1"}
    first = [await begins(client, {**one, **same}) for one in callers]
    repeated = [await begins(client, {**one, **same}) for one in callers]
    assert len(set(first)) == 3
    assert repeated == first


async def test_its_last_use_is_told_and_written_once_a_minute(
    world: World, person: Person, client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    secret = (await made(person))["secret"]
    before = datetime.now(UTC)
    assert (await with_key(client, secret)).status_code == 200

    async def told() -> object:
        return (await listed(person))[0]["last_used_at"]

    first = datetime.fromisoformat(str(await eventually(told)))
    assert before - timedelta(seconds=1) <= first <= datetime.now(UTC)
    for _ in range(5):
        await with_key(client, secret)
    assert not world.edge._key_uses._waiting


async def test_an_edge_that_stops_writes_what_it_noted(start: StartWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(key_uses, "WRITTEN_EVERY", 1000.0)
    world = await start()
    person = await world.person()
    key = await person.key("read")
    async with httpx.AsyncClient(base_url=world.url) as client:
        assert (await with_key(client, key.name)).status_code == 200
    assert (await world.ports.api_keys.by_hash(key.hash)).last_used_at is None
    await world.edge.__aexit__(None, None, None)
    assert (await world.ports.api_keys.by_hash(key.hash)).last_used_at is not None


# Ending


async def refused(client: httpx.AsyncClient, secret: object) -> bool:
    answer = await with_key(client, secret)
    return answer.status_code == 401 and answer.json()["code"] == "not_logged_in"


async def test_a_revoked_key_is_refused_within_a_second(
    world: World, person: Person, client: httpx.AsyncClient
) -> None:
    key, other = await made(person), await made(person)
    assert (await with_key(client, key["secret"])).status_code == 200
    assert (await person.http.delete(f"{KEYS}/{key['id']}")).status_code == 204
    revoked = asyncio.get_running_loop().time()
    await eventually(lambda: refused(client, key["secret"]))
    assert asyncio.get_running_loop().time() - revoked < 5  # a loaded machine; by our own clock it is one
    assert (await with_key(client, other["secret"])).status_code == 200
    assert [one["id"] for one in await listed(person)] == [other["id"]]
    problem(await person.http.delete(f"{KEYS}/{key['id']}"), 404, "not_found")


async def test_an_expired_key_is_refused_at_once_and_stays_in_the_list(
    person: Person, client: httpx.AsyncClient
) -> None:
    key = await person.key("read", expires_at=datetime.now(UTC) + timedelta(seconds=1.5))
    assert (await with_key(client, key.name)).status_code == 200
    await eventually(lambda: refused(client, key.name))
    assert datetime.now(UTC) >= key.expires_at
    assert [one["id"] for one in await listed(person)] == [key.id]
    assert (await person.http.delete(f"{KEYS}/{key.id}")).status_code == 204


async def test_a_suspended_persons_keys_are_refused(world: World, person: Person, client: httpx.AsyncClient) -> None:
    key = await person.key("read")
    assert (await with_key(client, key.name)).status_code == 200
    await world.suspends(person)

    async def is_suspended() -> bool:
        answer = await with_key(client, key.name)
        return answer.status_code == 403 and answer.json()["code"] == "account_suspended"

    await eventually(is_suspended)


async def test_a_key_whose_person_is_gone_is_refused(world: World, person: Person, client: httpx.AsyncClient) -> None:
    key = await person.key("read")
    await world.database.write(lambda connection: connection.execute("DELETE FROM accounts"))
    assert await refused(client, key.name)


async def test_another_persons_key_is_not_found(
    person: Person, other_person: Person, client: httpx.AsyncClient
) -> None:
    key = await made(person)
    for name in (key["id"], new_id(), "x", "%00", "..%2F", "a" * 3000, "' OR 1=1"):
        problem(await other_person.http.delete(f"{KEYS}/{name}"), 404, "not_found")
    assert (await with_key(client, key["secret"])).status_code == 200


@pytest.mark.parametrize(
    "change",
    [
        lambda secret: secret[:-1],
        lambda secret: secret + "A",
        lambda secret: secret[:-1] + ("A" if secret[-1] != "A" else "B"),
        lambda secret: secret.upper(),
        lambda secret: secret[3:],
        lambda secret: "on_",
        lambda secret: f"on_{secret}",
        lambda secret: secret + "\xe9",
        lambda secret: secret.replace("on_", "on_\xe9"),
        lambda secret: "on_" + "$" * 43,
    ],
)
async def test_what_is_nearly_a_key_is_none(person: Person, client: httpx.AsyncClient, change) -> None:
    secret = change((await person.key()).name)
    headers = [(b"Authorization", b"Bearer " + secret.encode("latin-1"))]
    problem(await client.get("/api/models", headers=headers), 401, "not_logged_in")


async def test_a_key_stands_in_no_address(person: Person, client: httpx.AsyncClient) -> None:
    key = await person.key()
    for name in ("token", "key", "api_key", "access_token"):
        assert (await client.get(f"/api/models?{name}={key.name}")).status_code == 401


# Streams


async def test_the_streams_of_a_revoked_key_end_and_no_others(world: World, person: Person, running: ByHand) -> None:
    revoked, kept = await person.key("read"), await person.key("read")
    async with Line(world.url) as line, Line(world.url) as other, Line(world.url) as own, asyncio.timeout(8):
        for one, headers in ((line, bearing(revoked)), (other, bearing(kept)), (own, person.headers)):
            await one.asks("GET", path(running), headers)
            await one.begins()
            assert one.status == 200
            await one.chunk()
        await person.http.delete(f"{KEYS}/{revoked.id}")
        assert await line.rest() == b"retry: 500\n\n"
        await running.says("more")
        for one in (other, own):
            assert b"more" in await one.chunk()
        assert len(world.edge.streams) == 2
        await running.ends()
        for one in (other, own):
            assert b"event: completed" in await one.rest()


async def test_the_streams_of_an_expired_key_end(world: World, person: Person, running: ByHand) -> None:
    key = await person.key("read", expires_at=datetime.now(UTC) + timedelta(seconds=1.5))
    await ends_its_streams(world, running, key)


async def test_the_streams_of_a_suspended_persons_keys_end(world: World, person: Person, running: ByHand) -> None:
    key = await person.key("read")
    await ends_its_streams(world, running, key, lambda: world.suspends(person))


async def ends_its_streams(world: World, running: ByHand, key: ApiKey, happens=None) -> None:
    async with Line(world.url) as line, asyncio.timeout(8):
        await line.asks("GET", path(running), bearing(key))
        await line.begins()
        await line.chunk()
        if happens is not None:
            await happens()
        assert await line.rest() == b"retry: 500\n\n"
    assert len(world.edge.streams) == 0


async def test_a_generation_goes_on_when_the_key_that_asked_is_revoked(
    world: World, person: Person, client: httpx.AsyncClient, recording: None
) -> None:
    key = await person.key("chat")
    generation = await begins(client, bearing(key))
    await person.http.delete(f"{KEYS}/{key.id}")
    hand = await world.by_hand(generation)
    await hand.says("Because.")
    await hand.ends()
    answer = await person.follow(generation)
    assert (answer.text, answer.end().name) == ("Because.", "completed")


# Secrets


async def test_no_secret_is_logged(world: World, person: Person, client: httpx.AsyncClient) -> None:
    with capture_logs() as logs:
        key = await made(person)
        secret = str(key["secret"])
        await with_key(client, secret)
        await with_key(client, secret + "x")
        await person.http.delete(f"{KEYS}/{key['id']}")
    assert {"api_key_made", "api_key_revoked"} <= {one["event"] for one in logs}
    assert secret[11:] not in repr(logs)


async def test_a_secret_inside_any_text_of_a_log_is_hidden(person: Person) -> None:
    secret = str((await made(person))["secret"])
    for text in (secret, f"key={secret}&x", f'{{"a":"{secret}"}}', f"a\n{secret}", repr(f"a\n{secret}"), secret[:-8]):
        hidden = without_secrets(text)
        assert secret[3:30] not in hidden
    for harmless in (f"generation_{new_id()}", "on_message", f"completion_{'a' * 60}", f"chat on_{'a' * 20}"):
        assert without_secrets(harmless) == harmless
