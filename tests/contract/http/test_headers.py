"""Headers: what clients send that is hostile, and what every answer has."""

import re

import httpx
import pytest

from contracts.ids import is_id, new_id
from tests.contract.http.conftest import StartWorld
from tests.contract.http.problems import problem
from tests.contract.http.wire import Line
from tests.contract.http.worlds import Person, World


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
