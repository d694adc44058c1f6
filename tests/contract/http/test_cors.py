"""Scripts of pages elsewhere: none may read an answer, unless its origin is configured; and then without cookies."""

import httpx
import pytest
from pydantic import ValidationError

from api.settings import EdgeSettings
from tests.contract.http.conftest import StartWorld
from tests.contract.http.problems import problem

OWN, OTHER = "https://app.example.com", "https://evil.example"


def _preflight(origin: str, method: str = "POST") -> dict[str, str]:
    asked = "authorization,content-type,idempotency-key,last-event-id,x-stainless-os"
    return {"Origin": origin, "Access-Control-Request-Method": method, "Access-Control-Request-Headers": asked}


async def test_without_configured_origins_no_page_elsewhere_gets_in(client: httpx.AsyncClient) -> None:
    asked = await client.options("/api/chats/stream", headers=_preflight(OWN))
    read = await client.get("/api/models", headers={"Origin": OWN})
    for answer in (asked, read):
        assert not [one for one in answer.headers if one.startswith("access-control-")]


async def test_a_configured_origin_may_call_with_a_token_and_read_what_clients_need(start: StartWorld) -> None:
    world = await start(cors_origins=f"{OWN}, http://localhost:5173")
    person = await world.person()
    asked = await person.http.options("/v1/chat/completions", headers=_preflight(OWN))
    assert asked.status_code == 200
    assert asked.headers["access-control-allow-origin"] == OWN
    assert "access-control-allow-credentials" not in asked.headers
    allowed = {one.strip().lower() for one in asked.headers["access-control-allow-headers"].split(",")}
    assert {"authorization", "content-type", "idempotency-key", "last-event-id", "x-stainless-os"} <= allowed
    assert asked.headers["x-request-id"]
    for method in ("GET", "PATCH", "PUT", "DELETE"):
        assert (await person.http.options("/api/chats/1", headers=_preflight(OWN, method))).status_code == 200
    read = await person.http.get("/api/chats", headers={"Origin": OWN})
    assert read.headers["access-control-allow-origin"] == OWN
    exposed = {one.strip().lower() for one in read.headers["access-control-expose-headers"].split(",")}
    assert {"x-request-id", "retry-after", "retry-after-ms", "ratelimit", "ratelimit-policy"} <= exposed
    assert "origin" in read.headers["vary"].lower()


async def test_an_error_is_readable_too(start: StartWorld) -> None:
    world = await start(cors_origins=OWN)
    async with httpx.AsyncClient(base_url=world.url, headers={"Origin": OWN}) as page:
        refused = await page.get("/api/chats")
        unreadable = await page.post("/api/auth/login", content=b"{", headers={"Content-Type": "application/json"})
    assert refused.headers["access-control-allow-origin"] == OWN
    problem(refused, 401, "not_logged_in")
    assert unreadable.headers["access-control-allow-origin"] == OWN
    problem(unreadable, 400, "malformed_json")


async def test_another_origin_stays_outside(start: StartWorld) -> None:
    world = await start(cors_origins=OWN)
    person = await world.person()
    assert (await person.http.options("/api/chats", headers=_preflight(OTHER))).status_code == 400
    read = await person.http.get("/api/chats", headers={"Origin": OTHER})
    assert "access-control-allow-origin" not in read.headers


@pytest.mark.parametrize(
    "wrong",
    ["*", "app.example.com", "https://app.example.com/", "ftp://a.example", "https://a.example https://b.example"],
)
def test_what_no_browser_sends_is_refused_at_the_start(wrong: str) -> None:
    with pytest.raises(ValidationError):
        EdgeSettings(cors_origins=wrong)  # type: ignore[arg-type]
