"""How fast a caller may go, as answers tell it."""

import re

import httpx

from tests.contract.http.conftest import StartWorld
from tests.contract.http.problems import STREAM, asks, problem


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
