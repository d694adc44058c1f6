"""What people do with accounts, call by call."""

import httpx
import jwt

from contracts.ids import new_id
from tests.contract.http.worlds import World

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


def session_of(tokens: dict[str, object]) -> str:
    return jwt.decode(str(tokens["access_token"]), options={"verify_signature": False})["sid"]
