"""Accounts and their sessions."""

import asyncio
import io
import json
import logging
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import jwt
import pytest
import structlog
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from api.security.passwords import Passwords
from contracts.ids import is_id, new_id
from contracts.public import UserSignedUp
from infra.process import logs
from tests.contract.http.conftest import StartWorld
from tests.contract.http.wire import Line
from tests.contract.http.worlds import Person, World, new_pem
from tests.eventually import eventually

PASSWORD = "correct horse battery"


async def signs_up(client: httpx.AsyncClient, email: str | None = None, **more: object) -> dict[str, object]:
    body = {"email": email or f"{new_id()}@example.org", "password": PASSWORD, **more}
    response = await client.post("/api/auth/signup", json=body)
    assert response.status_code == 201, response.text
    return response.json()


async def logs_in(client: httpx.AsyncClient, email: object, password: str = PASSWORD) -> httpx.Response:
    return await client.post("/api/auth/login", json={"email": email, "password": password})


async def refreshes(client: httpx.AsyncClient, token: object) -> httpx.Response:
    return await client.post("/api/auth/refresh", json={"refresh_token": token})


async def me(client: httpx.AsyncClient, tokens: dict[str, object]) -> httpx.Response:
    return await client.get("/api/auth/me", headers={"Authorization": f"Bearer {tokens['access_token']}"})


def a_second_passes(world: World) -> None:
    """What is believed of sessions for a second is asked again."""
    world.edge.sessions._seen.clear()


async def test_a_sign_up_is_a_login(world: World, client: httpx.AsyncClient) -> None:
    tokens = await signs_up(client, "Ada@Example.ORG", display_name=" Ada ")
    assert set(tokens) == {"access_token", "token_type", "expires_in", "refresh_token", "user"}
    assert tokens["token_type"] == "bearer"
    assert tokens["expires_in"] == 900
    user = tokens["user"]
    assert set(user) == {"id", "email", "display_name", "role", "created_at"}
    assert is_id(user["id"])
    assert (user["email"], user["display_name"], user["role"]) == ("ada@example.org", "Ada", "user")
    assert datetime.fromisoformat(user["created_at"]).utcoffset() == timedelta()
    assert (await me(client, tokens)).json() == user
    told = [one for one in world.bus.published if isinstance(one, UserSignedUp)]
    assert [one.account_id for one in told] == [user["id"]]


async def test_an_access_token_says_who_and_until_when(world: World, client: httpx.AsyncClient) -> None:
    tokens = await signs_up(client)
    claims = jwt.decode(str(tokens["access_token"]), options={"verify_signature": False})
    assert set(claims) == {"iss", "aud", "sub", "sid", "role", "iat", "exp"}
    assert (claims["iss"], claims["aud"], claims["sub"]) == ("ollamanet", "ollamanet-api", tokens["user"]["id"])
    assert claims["exp"] - claims["iat"] == 900
    assert await world.ports.sessions.get(claims["sid"])


async def test_a_login_is_a_session_of_its_own(client: httpx.AsyncClient) -> None:
    first = await signs_up(client, "ada@example.org")
    second = (await logs_in(client, "ada@example.org")).json()
    assert first["user"] == second["user"]
    assert first["refresh_token"] != second["refresh_token"]
    assert session_of(first) != session_of(second)


def session_of(tokens: dict[str, object]) -> str:
    return jwt.decode(str(tokens["access_token"]), options={"verify_signature": False})["sid"]


@pytest.mark.parametrize("email", ["ADA@example.org", " ada@example.org\t", "Ada@Example.Org"])
async def test_addresses_compare_without_case(client: httpx.AsyncClient, email: str) -> None:
    await signs_up(client, "ada@example.org")
    assert (await logs_in(client, email)).status_code == 200
    taken = await client.post("/api/auth/signup", json={"email": email, "password": PASSWORD})
    assert (taken.status_code, taken.json()["code"]) == (409, "email_taken")


async def test_of_many_who_take_one_address_at_once_one_gets_it(client: httpx.AsyncClient) -> None:
    body = {"email": "ada@example.org", "password": PASSWORD}
    answers = await asyncio.gather(*(client.post("/api/auth/signup", json=body) for _ in range(5)))
    assert sorted(one.status_code for one in answers) == [201, 409, 409, 409, 409]
    assert {one.json()["code"] for one in answers if one.status_code == 409} == {"email_taken"}


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("email", "ada"), ("email", "@"), ("email", "a@"), ("email", "a b@c"), ("email", "a@b@c"), ("email", "a\x00@b"),
        ("email", "a" * 250 + "@b.cd"), ("email", None), ("email", ["a@b"]), ("password", "too short"),
        ("password", "x" * 1025), ("password", None), ("display_name", "x" * 101), ("display_name", 1),
    ],
)  # fmt: skip
async def test_a_sign_up_has_bounds(client: httpx.AsyncClient, field: str, value: object) -> None:
    body = {"email": "ada@example.org", "password": PASSWORD, field: value}
    response = await client.post("/api/auth/signup", json=body)
    assert response.status_code == 422, response.text
    assert response.json()["errors"][0]["pointer"] == f"/{field}"


async def test_a_role_cannot_be_asked_for(client: httpx.AsyncClient) -> None:
    tokens = await signs_up(client, role="admin", id=new_id(), status="active", password_hash="x")
    assert tokens["user"]["role"] == "user"
    headers = {"Authorization": f"Bearer {tokens['access_token']}"}
    changed = await client.patch("/api/auth/me", json={"role": "admin", "email": "x@y.z"}, headers=headers)
    assert (changed.json()["role"], changed.json()["email"]) == ("user", tokens["user"]["email"])


async def test_a_wrong_login_is_told_in_the_same_words(client: httpx.AsyncClient) -> None:
    await signs_up(client, "ada@example.org")
    wrong, unknown = await logs_in(client, "ada@example.org", "not this one"), await logs_in(client, "b@example.org")
    for one in (wrong, unknown):
        assert (one.status_code, one.json()["code"]) == (401, "bad_credentials")
    differs = {"request_id"}
    same = [{name: value for name, value in one.json().items() if name not in differs} for one in (wrong, unknown)]
    assert same[0] == same[1]
    headers = [{name for name in one.headers if name != "date"} for one in (wrong, unknown)]
    assert headers[0] == headers[1]


async def test_an_unknown_account_costs_what_a_wrong_password_costs(world: World) -> None:
    """From the first login on: both paths verify once, and hash nothing besides."""
    counting = CountingPasswords()
    object.__setattr__(world.edge.logins, "passwords", counting)
    async with httpx.AsyncClient(base_url=world.url, timeout=30) as client:
        await signs_up(client, "ada@example.org")
        counting.calls.clear()
        for email in ("b@example.org", "ada@example.org", "c@example.org", "ada@example.org"):
            before = len(counting.calls)
            assert (await logs_in(client, email, "not this one")).status_code == 401
            assert [one for one in counting.calls[before:] if one != "first"] == ["verify"], email
    fresh = CountingPasswords()
    kept = await fresh.hashed("somebody's")
    fresh.calls.clear()
    await fresh.right("x", kept)
    known_first = list(fresh.calls)
    fresh = CountingPasswords()
    await fresh.right("x", None)
    assert fresh.calls == known_first


class CountingPasswords(Passwords):
    """Notes what the hasher did; `first`: the hash that stands for unknown accounts, made once."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[str] = []

    async def hashed(self, password: str) -> str:
        self.calls.append("first" if self._making.locked() else "hash")
        return await super().hashed(password)

    def _verify(self, password: str, kept: str) -> bool:
        assert kept.startswith("$argon2id$")
        self.calls.append("verify")
        return super()._verify(password, kept)


async def test_the_suspended_hear_it_after_the_right_password_only(world: World, client: httpx.AsyncClient) -> None:
    hashed = await world.edge.logins.passwords.hashed(PASSWORD)
    await world.person(email="ada@example.org")
    await world.database.write(
        lambda connection: connection.execute(
            "UPDATE accounts SET record = json_set(record, '$.status', 'suspended', '$.password_hash', ?)", (hashed,)
        )
    )
    right = await logs_in(client, "ada@example.org")
    assert (right.status_code, right.json()["code"]) == (403, "account_suspended")
    assert "access_token" not in right.text
    wrong = await logs_in(client, "ada@example.org", "not this one")
    assert (wrong.status_code, wrong.json()["code"]) == (401, "bad_credentials")


async def test_a_suspended_account_gets_no_new_tokens(world: World, client: httpx.AsyncClient) -> None:
    person = await world.person(status="suspended")
    refused = await refreshes(client, person.refresh_token)
    assert (refused.status_code, refused.json()["code"]) == (403, "account_suspended")


async def test_me_is_who_asks(world: World, person: Person, other_person: Person) -> None:
    assert (await person.http.get("/api/auth/me")).json()["id"] == person.account.id
    changed = await person.http.patch("/api/auth/me", json={"display_name": "Ada \x00 😀"})
    assert changed.json()["display_name"] == "Ada \x00 😀"
    assert (await person.http.get("/api/auth/me")).json() == changed.json()
    assert (await other_person.http.get("/api/auth/me")).json()["display_name"] == ""
    for same in ({}, {"display_name": None}):
        assert (await person.http.patch("/api/auth/me", json=same)).json() == changed.json()


# Refreshing


async def test_a_refresh_token_is_replaced_by_its_use(client: httpx.AsyncClient) -> None:
    first = await signs_up(client)
    second = (await refreshes(client, first["refresh_token"])).json()
    assert second["refresh_token"] != first["refresh_token"]
    assert session_of(second) == session_of(first)
    assert second["user"] == first["user"]
    assert (await me(client, second)).status_code == 200
    third = await refreshes(client, second["refresh_token"])
    assert third.status_code == 200


async def test_several_tabs_refresh_at_once(client: httpx.AsyncClient) -> None:
    first = await signs_up(client)
    answers = await asyncio.gather(*(refreshes(client, first["refresh_token"]) for _ in range(5)))
    assert [one.status_code for one in answers] == [200] * 5
    assert len({one.json()["refresh_token"] for one in answers}) == 5
    for one in answers:
        assert (await refreshes(client, one.json()["refresh_token"])).status_code == 200


async def test_a_refresh_token_used_again_later_ends_its_session(world: World, client: httpx.AsyncClient) -> None:
    stolen = await signs_up(client)
    kept = (await refreshes(client, stolen["refresh_token"])).json()
    await replaced_earlier(world, timedelta(seconds=29))
    assert (await refreshes(client, stolen["refresh_token"])).status_code == 200
    await replaced_earlier(world, timedelta(seconds=2))
    again = await refreshes(client, stolen["refresh_token"])
    assert (again.status_code, again.json()["code"]) == (401, "session_ended")
    assert (await refreshes(client, kept["refresh_token"])).status_code == 401
    a_second_passes(world)
    assert (await me(client, kept)).status_code == 401


async def replaced_earlier(world: World, by: timedelta) -> None:
    """As if that much time had passed since tokens were replaced."""
    milliseconds = int(by.total_seconds() * 1000)
    await world.database.write(
        lambda connection: connection.execute(
            "UPDATE session_tokens SET replaced_at = replaced_at - ? WHERE replaced_at IS NOT NULL", (milliseconds,)
        )
    )


@pytest.mark.parametrize("token", ["x", "'; --", new_id(), "a" * 200, "é", "\x00"])
async def test_a_refresh_token_of_nobody(client: httpx.AsyncClient, token: str) -> None:
    refused = await refreshes(client, token)
    assert (refused.status_code, refused.json()["code"]) == (401, "session_ended")


async def test_an_access_token_is_no_refresh_token_and_the_other_way_round(client: httpx.AsyncClient) -> None:
    tokens = await signs_up(client)
    assert (await refreshes(client, tokens["access_token"])).status_code in (401, 422)
    assert (await me(client, {"access_token": tokens["refresh_token"]})).status_code == 401


async def test_a_session_ends_with_its_time(world: World, client: httpx.AsyncClient) -> None:
    person = await world.person()
    await world.database.write(
        lambda connection: connection.execute("UPDATE sessions SET expires_at = ?", (int(datetime.now(UTC).timestamp() * 1000) - 1,))
    )  # fmt: skip
    assert (await refreshes(client, person.refresh_token)).status_code == 401
    assert (await person.http.get("/api/auth/me")).status_code == 401


# Logging out


async def test_logging_out_needs_the_refresh_token_alone(world: World, client: httpx.AsyncClient) -> None:
    mine, other = await signs_up(client), await signs_up(client)
    out = await client.post("/api/auth/logout", json={"refresh_token": mine["refresh_token"]})
    assert (out.status_code, out.content) == (204, b"")
    assert (await refreshes(client, mine["refresh_token"])).status_code == 401
    assert (await refreshes(client, other["refresh_token"])).status_code == 200
    again = await client.post("/api/auth/logout", json={"refresh_token": mine["refresh_token"]})
    assert again.status_code == 204


async def test_within_a_second_of_logging_out_its_access_tokens_and_streams_end(
    world: World, client: httpx.AsyncClient
) -> None:
    tokens = await signs_up(client)
    headers = {"Authorization": f"Bearer {tokens['access_token']}"}
    async with Line(world.url) as line:
        await line.asks("POST", "/api/chats/stream", headers, {"model": "small", "content": "Why?"})
        await line.begins()
        await line.chunk()
        await client.post("/api/auth/logout", json={"refresh_token": tokens["refresh_token"]})
        async with asyncio.timeout(2):
            assert await line.rest() == b"retry: 500\n\n"
            await eventually(lambda: is_refused(client, tokens))
    assert len(world.edge.streams) == 0


async def is_refused(client: httpx.AsyncClient, tokens: dict[str, object]) -> bool:
    return (await me(client, tokens)).status_code == 401


async def test_a_token_of_an_older_link_of_the_chain_logs_out_too(client: httpx.AsyncClient) -> None:
    first = await signs_up(client)
    second = (await refreshes(client, first["refresh_token"])).json()
    await client.post("/api/auth/logout", json={"refresh_token": first["refresh_token"]})
    assert (await refreshes(client, second["refresh_token"])).status_code == 401


# Keys


async def test_anybody_can_verify_a_token_with_the_published_keys(world: World, client: httpx.AsyncClient) -> None:
    tokens = await signs_up(client)
    claims = verified(await published(client), str(tokens["access_token"]))
    assert claims["sub"] == tokens["user"]["id"]


async def published(client: httpx.AsyncClient) -> dict[str, list[dict[str, str]]]:
    return (await client.get("/.well-known/jwks.json")).json()


def verified(jwks: dict[str, list[dict[str, str]]], token: str) -> dict[str, object]:
    """As a third party does it, with PyJWT alone."""
    keys = jwt.PyJWKSet.from_dict(jwks)
    kid = jwt.get_unverified_header(token)["kid"]
    (key,) = [one for one in keys.keys if one.key_id == kid]
    return jwt.decode(token, key, algorithms=["EdDSA", "ES256"], audience="ollamanet-api", issuer="ollamanet")


async def test_no_private_part_is_published(client: httpx.AsyncClient) -> None:
    (key,) = (await published(client))["keys"]
    assert set(key) == {"kty", "crv", "x", "kid", "alg", "use"}


async def test_of_two_keys_the_first_signs_and_both_verify(start: StartWorld) -> None:
    old, new = new_pem(), new_pem()
    before, after = await start(pem=old), await start(pem=new + b"\n" + old)
    account = (await before.person()).account
    person = await after.person()
    old_token = before.keys.issue(account, person.session_id)
    async with httpx.AsyncClient(base_url=after.url) as client:
        keys = await published(client)
        assert len(keys["keys"]) == 2
        for token in (old_token, person.token):
            assert verified(keys, token)
            assert after.keys.verify(token).session_id == person.session_id
        assert jwt.get_unverified_header(person.token)["kid"] == keys["keys"][0]["kid"]
        assert jwt.get_unverified_header(old_token)["kid"] == keys["keys"][1]["kid"]
    async with httpx.AsyncClient(base_url=before.url) as client:
        refused = await client.get("/api/auth/me", headers={"Authorization": f"Bearer {person.token}"})
        assert refused.status_code == 401


async def test_a_p256_key_signs_too(start: StartWorld) -> None:
    pem = ec.generate_private_key(ec.SECP256R1()).private_bytes(
        Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption()
    )
    world = await start(pem=pem)
    person = await world.person()
    assert (await person.http.get("/api/auth/me")).status_code == 200
    assert jwt.get_unverified_header(person.token)["alg"] == "ES256"
    async with httpx.AsyncClient(base_url=world.url) as client:
        assert verified(await published(client), person.token)["sub"] == person.account.id


# Administrators


async def test_the_first_account_of_a_laptop_is_its_administrator(start: StartWorld) -> None:
    world = await start(first_role="admin")
    async with httpx.AsyncClient(base_url=world.url, timeout=30) as client:
        roles = [(await signs_up(client))["user"]["role"] for _ in range(2)]
    assert roles == ["admin", "user"]


async def test_of_many_who_come_first_at_once_one_is_the_administrator(start: StartWorld) -> None:
    world = await start(first_role="admin")
    async with httpx.AsyncClient(base_url=world.url, timeout=30) as client:
        tokens = await asyncio.gather(*(signs_up(client) for _ in range(4)))
    assert sorted(one["user"]["role"] for one in tokens) == ["admin", "user", "user", "user"]


async def test_elsewhere_the_first_account_is_a_user(client: httpx.AsyncClient) -> None:
    assert (await signs_up(client))["user"]["role"] == "user"


async def test_a_named_administrator_with_a_password_is_there_from_the_start(start: StartWorld) -> None:
    world = await start(admin_email="Root@Example.org", admin_password=PASSWORD, first_role="admin")
    async with httpx.AsyncClient(base_url=world.url, timeout=30) as client:
        assert (await signs_up(client))["user"]["role"] == "user"
        admin = (await logs_in(client, "root@example.org")).json()
        assert admin["user"]["role"] == "admin"
        claims = jwt.decode(admin["access_token"], options={"verify_signature": False})
        assert claims["role"] == "admin"
        taken = await client.post("/api/auth/signup", json={"email": "root@example.org", "password": PASSWORD})
        assert taken.status_code == 409


async def test_a_named_administrator_without_a_password_signs_up(start: StartWorld) -> None:
    world = await start(admin_email="root@example.org", first_role="admin")
    async with httpx.AsyncClient(base_url=world.url, timeout=30) as client:
        assert (await signs_up(client))["user"]["role"] == "user"
        assert (await signs_up(client, "ROOT@example.org"))["user"]["role"] == "admin"


@pytest.mark.parametrize("password", [None, "another password"])
async def test_an_account_that_is_named_later_is_administrator_after_the_next_start(
    start: StartWorld, password: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = await start()
    async with httpx.AsyncClient(base_url=world.url, timeout=30) as client:
        await signs_up(client, "root@example.org")
        monkeypatch.setitem(world.edge.logins.__dict__, "admin_email", "root@example.org")
        await world.edge.logins.make_admin(password)
        tokens = (await logs_in(client, "root@example.org", password or PASSWORD)).json()
    assert tokens["user"]["role"] == "admin"


# Logs


class Terminal(io.StringIO):
    """A stream that a person reads."""

    def isatty(self) -> bool:
        return True


@pytest.fixture(params=[io.StringIO, Terminal])
def written(request: pytest.FixtureRequest) -> Iterator[io.StringIO]:
    """Everything that is logged, at the finest level."""
    root = logging.getLogger()
    before, level = root.handlers[:], root.level
    stream = request.param()
    logs.configure("edge", "debug", stream)
    for name in ("httpx", "httpcore"):  # the test's own client
        logging.getLogger(name).setLevel(logging.WARNING)
    yield stream
    for name in ("httpx", "httpcore"):
        logging.getLogger(name).setLevel(logging.NOTSET)
    root.handlers[:] = before
    root.setLevel(level)
    structlog.reset_defaults()


async def test_no_password_and_no_token_is_in_any_log(
    written: io.StringIO, world: World, client: httpx.AsyncClient
) -> None:
    tokens = await signs_up(client, "ada@example.org")
    login = (await logs_in(client, "ada@example.org")).json()
    wrong = "a wrong password"
    await logs_in(client, "ada@example.org", wrong)
    fresh = (await refreshes(client, tokens["refresh_token"])).json()
    await me(client, fresh)
    await client.post("/api/auth/signup", json={"email": 1, "password": PASSWORD})
    await client.post(
        "/api/auth/signup",
        content=json.dumps({"password": PASSWORD}) + "{",
        headers={"Content-Type": "application/json"},
    )
    headers = {"Authorization": f"Bearer {fresh['access_token']}"}
    await client.get(f"/api/auth/me?token={login['refresh_token']}", headers=headers)
    await client.get("/api/auth/me", headers={"Authorization": f"Bearer {fresh['access_token']}x"})
    crashing = Crashing(world)
    await logs_in(client, "ada@example.org", wrong)
    await client.get("/api/models", headers=headers)
    crashing.ends()
    await client.post("/api/auth/logout", json={"refresh_token": fresh["refresh_token"]})
    text = written.getvalue()
    assert "request_crashed" in text
    secrets = {PASSWORD, wrong}
    for one in (tokens, login, fresh):
        secrets |= {str(one["access_token"]), str(one["refresh_token"]), str(one["access_token"]).rpartition(".")[2]}
    assert not [one for one in secrets if one in text or one[:24] in text.replace("\n", "")]


class Crashing:
    """An edge whose stores break in a way that nobody foresaw."""

    def __init__(self, world: World) -> None:
        self._logins, self._accounts = world.edge.logins, world.ports.accounts
        self._explore = world.edge.explore
        object.__setattr__(self._logins, "accounts", self)
        self._explore._read_at, self._models, self._explore._models = None, self._explore._models, self

    async def by_email(self, email: str) -> None:
        raise RuntimeError(f"broken for {email}")

    async def all(self) -> None:
        raise RuntimeError("broken")

    def ends(self) -> None:
        object.__setattr__(self._logins, "accounts", self._accounts)
        self._explore._models = self._models


def test_the_data_of_accounts_is_readable_by_its_owner_alone(world: World) -> None:
    file = Path(world.database.path)
    assert file.stat().st_mode & 0o077 == 0
