"""Accounts: who may make one, log in to it, and administer."""

import asyncio
from datetime import datetime, timedelta

import httpx
import jwt
import pytest

from api.security.passwords import Passwords
from contracts.ids import is_id, new_id
from contracts.public import UserSignedUp
from tests.contract.http.conftest import StartWorld
from tests.contract.http.logins import PASSWORD, logs_in, me, session_of, signs_up
from tests.contract.http.worlds import Person, World


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


async def test_me_is_who_asks(world: World, person: Person, other_person: Person) -> None:
    assert (await person.http.get("/api/auth/me")).json()["id"] == person.account.id
    changed = await person.http.patch("/api/auth/me", json={"display_name": "Ada \x00 😀"})
    assert changed.json()["display_name"] == "Ada \x00 😀"
    assert (await person.http.get("/api/auth/me")).json() == changed.json()
    assert (await other_person.http.get("/api/auth/me")).json()["display_name"] == ""
    for same in ({}, {"display_name": None}):
        assert (await person.http.patch("/api/auth/me", json=same)).json() == changed.json()


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
