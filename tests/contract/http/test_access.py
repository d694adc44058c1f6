"""Every route for every kind of caller. A route without a row here fails."""

import base64
import hashlib
import hmac
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

import httpx
import jwt
import orjson
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from fastapi.routing import APIRoute
from starlette.routing import Mount

from api.security.secret import new_secret
from contracts.ids import new_id
from contracts.records import Scope
from tests.contract.http.letters import died
from tests.contract.http.worlds import Person, World, bearing
from tests.e2e.client import PASSWORD
from tests.factories import generate_reply
from tests.pictures import png


@dataclass(frozen=True)
class Row:
    """Statuses of one route. `owner` and `stranger` call with the owner's ids; `body` may use them too.

    `anonymous`: 401 for everything that is not public. `admin`: what an administrator gets where others get 403. `scope`: what an
    API key needs for it; None: it is for persons alone.
    """

    owner: int
    stranger: int
    anonymous: int = 401
    body: Callable[["Ids"], object] | None = None
    admin: int | None = None
    scope: Scope | None = None


@dataclass(frozen=True)
class Ids:
    """What the owner has; `email` is somebody new's every time."""

    chat_id: str
    generation_id: str
    refresh_token: str
    letter_id: str
    key_id: str
    image_id: str
    name: str = "small"
    alias: str = "chat-default"
    command_id: str = field(default_factory=new_id)
    email: str = field(default_factory=lambda: f"{new_id()}@example.org")


def somebodys(ids: Ids) -> Ids:
    """The same, with nobody's session and for a new address."""
    return replace(ids, refresh_token="", email=f"{new_id()}@example.org")


def public(status: int, body: Callable[[Ids], object] | None = None) -> Row:
    return Row(status, status, status, body)


def reading(stranger: int) -> Row:
    return Row(200, stranger, scope="read")


def chatting(owner: int, stranger: int, body: Callable[[Ids], object] | None = None) -> Row:
    return Row(owner, stranger, body=body, scope="chat")


def administrators(status: int, body: Callable[[Ids], object] | None = None) -> Row:
    return Row(403, 403, body=body, admin=status)


def question(_: Ids) -> object:
    return {"model": "small", "content": "And then?"}


def question_in_chat(ids: Ids) -> object:
    return {"model": "small", "content": "And then?", "chat_id": ids.chat_id}


def conversation(_: Ids) -> object:
    return {"model": "small", "messages": [{"role": "user", "content": "And then?"}], "stream": True}


def texts(_: Ids) -> object:
    return {"model": "nobody's", "input": "The sea."}


def new_backend(ids: Ids) -> object:
    return {"name": ids.name, "kind": "ollama", "url": "https://9.9.9.9"}


TABLE = {
    "GET /": public(200),
    "GET /docs": public(200),
    "GET /openapi.json": public(200),
    "GET /livez": public(200),
    "GET /readyz": public(200),
    "GET /.well-known/jwks.json": public(200),
    "GET /assets/home.css": public(200),
    "GET /assets/swagger/swagger-ui.css": public(200),
    "POST /api/auth/signup": public(201, lambda ids: {"email": ids.email, "password": PASSWORD}),
    "POST /api/auth/login": public(401, lambda ids: {"email": ids.email, "password": PASSWORD}),
    "POST /api/auth/refresh": public(401, lambda _: {"refresh_token": "nobody's"}),
    "POST /api/auth/logout": public(204, lambda _: {"refresh_token": "nobody's"}),
    "GET /api/auth/me": Row(200, 200),
    "PATCH /api/auth/me": Row(200, 200, body=lambda _: {"display_name": "Ada"}),
    "POST /api/auth/keys": Row(201, 201, body=lambda _: {"name": "A program"}),
    "GET /api/auth/keys": Row(200, 200),
    "DELETE /api/auth/keys/{key_id}": Row(204, 404),
    "POST /api/chats/stream": chatting(200, 404, question_in_chat),
    "POST /api/chats/{chat_id}/messages": chatting(202, 404, question),
    "GET /api/chats": reading(200),
    "GET /api/chats/{chat_id}": reading(404),
    "GET /api/chats/{chat_id}/stream": Row(204, 404, scope="read"),
    "POST /api/images": chatting(201, 201, lambda _: png()),
    "GET /api/images/{image_id}": reading(404),
    "PATCH /api/chats/{chat_id}": chatting(200, 404, lambda _: {"title": "Mine"}),
    "DELETE /api/chats/{chat_id}": chatting(204, 404),
    "GET /api/generations/{generation_id}": reading(404),
    "GET /api/generations/{generation_id}/stream": reading(404),
    "POST /api/generations/{generation_id}/cancel": chatting(202, 404),
    "POST /v1/embeddings": chatting(404, 404, texts),
    "POST /ollama/api/embed": chatting(404, 404, texts),
    "GET /v1/models": reading(200),
    "GET /v1/models/{name}": reading(200),
    "POST /v1/chat/completions": chatting(200, 200, conversation),
    "POST /v1/responses": chatting(200, 200, lambda _: {"model": "small", "input": "And then?", "background": True}),
    "GET /v1/responses/{response_id}": reading(404),
    "POST /v1/responses/{response_id}/cancel": chatting(200, 404),
    "GET /ollama": public(200),
    "HEAD /ollama": public(200),
    "GET /ollama/": public(200),
    "HEAD /ollama/": public(200),
    "GET /ollama/api/version": public(200),
    "GET /ollama/api/tags": reading(200),
    "POST /ollama/api/show": Row(200, 200, body=lambda ids: {"model": ids.name}, scope="read"),
    "GET /ollama/api/ps": reading(200),
    "POST /ollama/api/chat": chatting(200, 200, conversation),
    "POST /ollama/api/generate": chatting(200, 200, lambda _: {"model": "small", "prompt": "And then?"}),
    "GET /api/models": reading(200),
    "GET /api/models/{name}": reading(200),
    "GET /api/tags": reading(200),
    "GET /api/admin/dead-letters": administrators(200),
    "GET /api/admin/dead-letters/{letter_id}": administrators(200),
    "POST /api/admin/dead-letters/replay": administrators(200, lambda ids: {"ids": [ids.letter_id]}),
    "POST /api/admin/dead-letters/{letter_id}/replay": administrators(202),
    "POST /api/admin/dead-letters/{letter_id}/discard": administrators(200),
    "GET /api/admin/backends": administrators(200),
    "POST /api/admin/backends": administrators(201, new_backend),
    "GET /api/admin/backends/{name}": administrators(404),
    "PATCH /api/admin/backends/{name}": administrators(404, lambda _: {"slots": 2}),
    "DELETE /api/admin/backends/{name}": administrators(404),
    "POST /api/admin/backends/{name}/test": administrators(404),
    "GET /api/admin/audit": administrators(200),
    "POST /api/admin/models": administrators(202, lambda _: {"name": "small"}),
    "PUT /api/admin/models/{name}/tags": administrators(202, lambda _: {"tags": []}),
    "POST /api/admin/models/{name}/verify": administrators(202),
    "POST /api/admin/models/{name}/copy": administrators(202, lambda _: {"destination": "other"}),
    "POST /api/admin/models/{name}/retire": administrators(202),
    "PATCH /api/admin/models/{name}": administrators(202, lambda _: {"description": "New."}),
    "DELETE /api/admin/models/{name}": administrators(202),
    "GET /api/admin/aliases": administrators(200),
    "PUT /api/admin/aliases/{alias}": administrators(404, lambda _: {"model": "nothing"}),
    "DELETE /api/admin/aliases/{alias}": administrators(404),
    "GET /api/admin/commands": administrators(200),
    "GET /api/admin/commands/{command_id}": administrators(404),
    "GET /api/admin/commands/{command_id}/stream": administrators(404),
    "POST /api/admin/commands/{command_id}/cancel": administrators(404),
}
STREAMS = ("text/event-stream", "application/x-ndjson")
MOUNTS = {
    "/assets": "GET /assets/home.css",
    "/assets/web": "GET /assets/home.css",  # only where the chat page was built
    "/assets/swagger": "GET /assets/swagger/swagger-ui.css",
}
"""What is looked at in each folder of files."""
PRIVATE = [name for name, row in TABLE.items() if row.anonymous == 401 and row.owner != 401]
PUBLIC = [name for name in TABLE if name not in PRIVATE]


@pytest.fixture
async def ids(world: World, person: Person, recording: None) -> Ids:
    begun = await person.begins("Why is the sky blue?")
    hand = await world.by_hand(begun["generation_id"])
    await hand.says("Rayleigh.")
    await hand.ends()
    await person.follow(begun["generation_id"])
    letter = died(generate_reply(hand.question))
    await world.ports.dead_letters.keep(letter)
    key = await person.key()
    image = await person.http.post("/api/images", content=png(), headers={"Content-Type": "image/png"})
    image_id = image.json()["id"]
    return Ids(begun["chat_id"], begun["generation_id"], person.refresh_token, letter.id, key.id, image_id)


async def call(client: httpx.AsyncClient, name: str, ids: Ids, headers: dict[str, str]) -> httpx.Response:
    """The route's answer; of a stream, its beginning. Bytes go as they are, an image."""
    method, _, path = name.partition(" ")
    made = TABLE[name].body
    body = made(ids) if made else None
    sent = {"content": body} if isinstance(body, bytes) else {"json": body}
    kind = {"Content-Type": "image/png"} if isinstance(body, bytes) else {}
    at = path.format_map({**vars(ids), "response_id": f"resp_{ids.generation_id}"})
    async with client.stream(method, at, headers={**headers, **kind}, **sent) as response:
        if not response.headers.get("content-type", "").startswith(STREAMS):
            await response.aread()
        return response


def test_every_route_has_its_row(world: World) -> None:
    document = world.app.openapi()
    found = {f"{method.upper()} {path}" for path, methods in document["paths"].items() for method in methods}
    for route in world.app.routes:
        found |= names_of(route)
    assert found == set(TABLE)


def names_of(route: object) -> set[str]:
    """The rows of one route of the application, whether or not the document shows it."""
    if isinstance(route, Mount):
        return {MOUNTS[route.path]}
    if isinstance(route, APIRoute):
        return {f"{method} {route.path.replace(':path', '')}" for method in route.methods}
    router = getattr(route, "original_router", None)  # a router as it was included
    assert router is not None, f"{route!r} is of a kind that this test does not know"
    return {name for inner in router.routes for name in names_of(inner)}


async def test_what_needs_an_account_and_what_does_not_is_what_was_promised() -> None:
    promised = ("/assets/", "/docs", "/api/auth/")
    exactly = {
        "/", "/livez", "/readyz", "/openapi.json", "/.well-known/jwks.json", "/ollama", "/ollama/", "/ollama/api/version"
    }  # fmt: skip
    for name in PUBLIC:
        path = name.partition(" ")[2]
        assert path in exactly or path.startswith(promised), name
    assert "GET /api/auth/me" in PRIVATE
    assert "PATCH /api/auth/me" in PRIVATE
    assert all(name in PRIVATE for name in TABLE if "/api/chats" in name or "/api/gen" in name or "/api/mod" in name)


@pytest.mark.parametrize("name", TABLE)
async def test_its_owner_somebody_else_and_nobody(
    name: str, client: httpx.AsyncClient, person: Person, other_person: Person, ids: Ids
) -> None:
    row = TABLE[name]
    assert (await call(client, name, ids, {})).status_code == row.anonymous
    stranger = await call(client, name, somebodys(ids), other_person.headers)
    assert stranger.status_code == row.stranger, stranger.text
    if row.stranger == 404 != row.owner:
        kind = "application/json" if " /v1/" in name else "application/problem+json"
        assert stranger.headers["content-type"] == kind
        assert code_of(name, stranger) == "not_found"
    owner = await call(client, name, somebodys(ids), person.headers)
    assert owner.status_code == row.owner
    for refused in (stranger, owner) if row.admin else ():
        assert refused.json()["code"] == "not_permitted"


@pytest.mark.parametrize("name", [name for name, row in TABLE.items() if row.admin])
async def test_what_administrators_do_needs_the_role_and_nothing_else(
    name: str, world: World, client: httpx.AsyncClient, ids: Ids
) -> None:
    admin = await world.person(role="admin")
    assert (await call(client, name, ids, admin.headers)).status_code == TABLE[name].admin


@pytest.mark.parametrize("name", TABLE)
async def test_no_bad_token_opens_it(
    name: str, world: World, client: httpx.AsyncClient, person: Person, ids: Ids
) -> None:
    ended = {"logged out": await logged_out(world, client), **await bad_keys(person)}
    for kind, token in {**bad_tokens(world, person), **ended}.items():
        mine = somebodys(ids)
        response = await call(client, name, mine, {"Authorization": f"Bearer {token}"})
        assert response.status_code == TABLE[name].anonymous, (kind, response.status_code)
        if name in PRIVATE:
            assert code_of(name, response) == "not_logged_in", kind
            assert response.headers["www-authenticate"] == "Bearer"


@pytest.mark.parametrize("name", PRIVATE)
async def test_an_api_key_opens_what_it_has_the_scope_for(
    name: str, client: httpx.AsyncClient, person: Person, other_person: Person, ids: Ids
) -> None:
    row = TABLE[name]
    asking = [("chat",), ("chat", "read")]
    permitted = {None: [], "chat": asking, "read": [("read",), *asking]}[row.scope]
    for scopes in (("read",), ("chat",), ("chat", "read"), ("of a newer version",), ()):
        stranger = await call(client, name, somebodys(ids), bearing(await other_person.key(scopes=scopes)))
        if scopes in permitted:
            assert stranger.status_code == row.stranger, stranger.text
        else:
            assert stranger.status_code == 403, scopes
            assert code_of(name, stranger) == "not_permitted"
    if permitted:
        owner = await call(client, name, somebodys(ids), bearing(await person.key(scopes=permitted[0])))
        assert owner.status_code == row.owner


@pytest.mark.parametrize("name", [name for name in PRIVATE if not TABLE[name].admin])
async def test_a_suspended_persons_key_opens_nothing(
    name: str, world: World, client: httpx.AsyncClient, person: Person, ids: Ids
) -> None:
    await world.suspends(person)
    response = await call(client, name, ids, bearing(await person.key()))
    assert response.status_code == 403
    assert code_of(name, response) == "account_suspended"


@pytest.mark.parametrize("name", [name for name, row in TABLE.items() if row.admin])
async def test_no_api_key_administers(name: str, world: World, client: httpx.AsyncClient, ids: Ids) -> None:
    admin = await world.person(role="admin")
    response = await call(client, name, ids, bearing(await admin.key()))
    assert (response.status_code, response.json()["code"]) == (403, "not_permitted")


@pytest.mark.parametrize("scheme", ["Basic", "Token", "bearer2"])
async def test_another_scheme_is_no_token(scheme: str, client: httpx.AsyncClient, person: Person) -> None:
    response = await client.get("/api/auth/me", headers={"Authorization": f"{scheme} {person.token}"})
    assert response.status_code == 401


@pytest.mark.parametrize("value", [b"Bearer", b"Bearer \xe9\xe8.\xff.x", b"\xc3\xa9", b"Bearer " + b"a" * 20_000])
async def test_an_authorization_of_odd_bytes_is_no_token(value: bytes, client: httpx.AsyncClient) -> None:
    response = await client.get("/api/auth/me", headers=[(b"Authorization", value)])
    assert response.status_code == 401


async def test_a_token_in_the_address_is_no_token(client: httpx.AsyncClient, person: Person) -> None:
    for name in ("token", "access_token", "authorization"):
        assert (await client.get(f"/api/auth/me?{name}={person.token}")).status_code == 401


async def test_the_scheme_is_named_in_any_case(client: httpx.AsyncClient, person: Person) -> None:
    response = await client.get("/api/auth/me", headers={"Authorization": f"bEARER {person.token}"})
    assert response.status_code == 200


def code_of(name: str, response: httpx.Response) -> str:
    """What the error is called natively, whatever format it is told in."""
    if " /v1/" in name:
        code = response.json()["error"]["code"]
        return {"invalid_api_key": "not_logged_in"}.get(code, code)
    if " /ollama/" in name:
        return told_of(response.json()["error"])
    return response.json()["code"]


def told_of(error: str) -> str:
    """Which error says this: Ollama's have no codes."""
    told = {"Log in:": "not_logged_in", "not valid": "not_logged_in", "has ended": "not_logged_in", "may not": "not_permitted",
            "has no scope": "not_permitted", "suspended": "account_suspended"}  # fmt: skip
    (code,) = {code for words, code in told.items() if words in error}
    return code


async def logged_out(world: World, client: httpx.AsyncClient) -> str:
    leaver = await world.person()
    assert (await client.get("/api/auth/me", headers=leaver.headers)).status_code == 200
    await world.ports.sessions.end(leaver.session_id, leaver.account.id, datetime.now(UTC))
    world.edge.sessions._seen.clear()  # a second passes
    return leaver.token


async def bad_keys(person: Person) -> dict[str, str]:
    revoked = await person.key()
    await person.world.ports.api_keys.revoke(person.account.id, revoked.id)
    expired = await person.key(expires_at=datetime.now(UTC) - timedelta(seconds=1))
    return {"unknown key": new_secret(), "revoked key": revoked.name, "expired key": expired.name}


def bad_tokens(world: World, person: Person) -> dict[str, str]:
    """Tokens that say what a good one says, and one thing wrong with each."""
    now = datetime.now(UTC)
    good = {
        "iss": "ollamanet", "aud": "ollamanet-api", "sub": person.account.id, "sid": person.session_id, "role": "admin",
        "iat": now, "exp": now + timedelta(minutes=15),
    }  # fmt: skip
    own = world.keys._first
    kid = {"kid": own.kid}

    def signed(key: object = own.private, algorithm: str = "EdDSA", headers: object = kid, **changes: object) -> str:
        claims = {name: value for name, value in {**good, **changes}.items() if value is not None}
        return jwt.encode(claims, key, algorithm=algorithm, headers=headers)

    foreign = Ed25519PrivateKey.generate()
    return {
        "expired": signed(exp=now - timedelta(seconds=1)),
        "without end": signed(exp=None),
        "without session": signed(sid=None),
        "for somebody else": signed(aud="another-api"),
        "of another issuer": signed(iss="somebody"),
        "of a session that never was": signed(sid=new_id()),
        "alg none": signed(None, "none"),
        "alg none, without signature": signed(None, "none").rpartition(".")[0] + ".",
        "foreign key, our kid": signed(foreign),
        "foreign key, its own kid": signed(foreign, headers={"kid": "foreign"}),
        "without kid": signed(foreign, headers={}),
        "kid of another kind": unsigned({"alg": "EdDSA", "kid": ["a"]}, good),
        "public key as secret": hs256(public_pem(own.private), kid, good),
        "raw public key as secret": hs256(raw(own.private), kid, good),
        "header of nested lists": b64(b"[" * 20_000) + ".e30.c2ln",
        "header that is no object": b64(b"[]") + ".e30.c2ln",
        "not a token": "eyJ.nonsense",
        "signature of another token": signed().rpartition(".")[0] + "." + signed(sub=new_id()).rpartition(".")[2],
    }


def public_pem(key: Ed25519PrivateKey) -> bytes:
    return key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def raw(key: Ed25519PrivateKey) -> bytes:
    return key.public_key().public_bytes_raw()


def hs256(secret: bytes, headers: dict[str, str], claims: dict[str, object]) -> str:
    """By hand, for PyJWT refuses such secrets."""
    told = {name: int(value.timestamp()) if isinstance(value, datetime) else value for name, value in claims.items()}
    message = f"{b64(orjson.dumps({'alg': 'HS256', 'typ': 'JWT', **headers}))}.{b64(orjson.dumps(told))}"
    return f"{message}.{b64(hmac.new(secret, message.encode(), hashlib.sha256).digest())}"


def unsigned(headers: dict[str, object], claims: dict[str, object]) -> str:
    told = {name: int(value.timestamp()) if isinstance(value, datetime) else value for name, value in claims.items()}
    return f"{b64(orjson.dumps(headers))}.{b64(orjson.dumps(told))}.c2lnbmF0dXJl"


def b64(value: bytes) -> str:
    return base64.urlsafe_b64encode(value).rstrip(b"=").decode()
