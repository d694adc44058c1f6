"""The refresh token in a cookie: for this platform's own pages, and for nobody else."""

import httpx
import pytest

from contracts.ids import new_id
from tests.contract.http.conftest import StartWorld
from tests.contract.http.logins import PASSWORD, a_second_passes, me, refreshes, signs_up
from tests.contract.http.worlds import World

NAME = "ollamanet"


@pytest.fixture
def own(world: World) -> dict[str, str]:
    """What a browser adds to a page's POST."""
    return {"Origin": world.url}


async def enters(client: httpx.AsyncClient, own: dict[str, str]) -> httpx.Response:
    body = {"email": f"{new_id()}@example.org", "password": PASSWORD, "cookie": True}
    return await client.post("/api/auth/signup", json=body, headers=own)


async def test_the_token_is_in_the_cookie_and_nowhere_else(client: httpx.AsyncClient, own: dict[str, str]) -> None:
    entered = await enters(client, own)
    assert entered.status_code == 201
    assert entered.json()["refresh_token"] is None
    cookie = entered.headers["set-cookie"].lower()
    assert cookie.startswith(f"{NAME}=")
    assert {"httponly", "samesite=strict", "path=/", "max-age=2592000"} <= {one.strip() for one in cookie.split(";")}
    assert client.cookies[NAME] not in entered.text


async def test_a_page_refreshes_and_logs_out_by_its_cookie(
    world: World, client: httpx.AsyncClient, own: dict[str, str]
) -> None:
    await enters(client, own)
    first = client.cookies[NAME]
    refreshed = await client.post("/api/auth/refresh", json={}, headers=own)
    assert refreshed.status_code == 200
    assert refreshed.json()["refresh_token"] is None
    assert client.cookies[NAME] != first
    assert (await me(client, refreshed.json())).status_code == 200
    gone = await client.post("/api/auth/logout", json={}, headers=own)
    assert gone.status_code == 204
    assert NAME not in client.cookies
    a_second_passes(world)
    assert (await me(client, refreshed.json())).status_code == 401


async def test_a_login_keeps_a_cookie_too(client: httpx.AsyncClient, own: dict[str, str]) -> None:
    email = (await signs_up(client))["user"]["email"]  # type: ignore[index]
    body = {"email": email, "password": PASSWORD, "cookie": True}
    assert (await client.post("/api/auth/login", json=body, headers=own)).json()["refresh_token"] is None
    assert (await client.post("/api/auth/refresh", json={}, headers=own)).status_code == 200


@pytest.mark.parametrize("origin", [None, "https://evil.example", "null"])
@pytest.mark.parametrize("path", ["refresh", "logout"])
async def test_other_sites_cannot_use_it(
    client: httpx.AsyncClient, own: dict[str, str], path: str, origin: str | None
) -> None:
    await enters(client, own)
    refused = await client.post(f"/api/auth/{path}", json={}, headers={"Origin": origin} if origin else {})
    assert (refused.status_code, refused.json()["code"]) == (403, "not_permitted")
    assert (await client.post("/api/auth/refresh", json={}, headers=own)).status_code == 200


async def test_other_sites_cannot_plant_one(client: httpx.AsyncClient) -> None:
    refused = await enters(client, {"Origin": "https://evil.example"})
    assert (refused.status_code, refused.json()["code"]) == (403, "not_permitted")
    assert not client.cookies


async def test_without_token_and_cookie_there_is_no_session(client: httpx.AsyncClient, own: dict[str, str]) -> None:
    refused = await client.post("/api/auth/refresh", json={}, headers=own)
    assert (refused.status_code, refused.json()["code"]) == (401, "session_ended")
    assert (await client.post("/api/auth/logout", json={}, headers=own)).status_code == 204


async def test_a_token_in_the_body_needs_no_origin(client: httpx.AsyncClient) -> None:
    tokens = await signs_up(client)
    assert (await refreshes(client, tokens["refresh_token"])).json()["refresh_token"]


async def test_over_tls_the_cookie_is_bound_to_this_host(start: StartWorld) -> None:
    world = await start(behind_proxy=True)
    own = {"Origin": "https://chat.example.org", "Host": "chat.example.org", "X-Forwarded-Proto": "https"}
    async with httpx.AsyncClient(base_url=world.url) as client:
        cookie = (await enters(client, own)).headers["set-cookie"]
    assert cookie.startswith("__Host-ollamanet=")
    assert "; Secure" in cookie


async def test_without_tls_only_the_loopback_keeps_a_cookie(world: World, client: httpx.AsyncClient) -> None:
    own = {"Origin": "http://chat.example.org", "Host": "chat.example.org"}
    refused = await enters(client, own)
    assert (refused.status_code, refused.json()["code"]) == (403, "not_permitted")
    assert "TLS" in refused.json()["detail"]
