"""How fast a caller may go, and who is counted as one."""

import httpx
import pytest
from fastapi import Request

from api.allowances import Allowances, address
from contracts.errors import RateLimited
from contracts.ports.limits import Allowance, RateLimits
from infra.memory.limits import MemoryRateLimits
from infra.process.http import http_server


def request_from(host: str | None, path: str = "/api/chats", **headers: str) -> Request:
    sent = [(name.lower().replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    client = (host, 1) if host is not None else None
    return Request({"type": "http", "path": path, "client": client, "headers": sent, "state": {}})


class Noting(RateLimits):
    """Allows everything and notes what was taken."""

    def __init__(self) -> None:
        self.taken: list[tuple[str, int, float]] = []

    async def take(self, key: str, limit: int, window: float) -> Allowance:
        self.taken.append((key, limit, window))
        return Allowance(allowed=True, remaining=limit - 1, retry_after_ms=0, reset_ms=1500)


def allowances(limits: RateLimits, signups: int = 20, logins: int = 10, chats: int = 60) -> Allowances:
    return Allowances(limits, signups, logins, chats)


@pytest.mark.parametrize(
    ("host", "counted"),
    [
        ("203.0.113.9", "203.0.113.9"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2:ffff::1", "2001:db8:1:2::/64"),
        ("2001:db8:1:3::1", "2001:db8:1:3::/64"),
        ("::1", "::/64"),
        ("::ffff:203.0.113.9", "203.0.113.9"),
        ("unix", "unix"),
        ("", ""),
        (None, "unknown"),
    ],
)
def test_an_ipv6_customer_is_one_address(host: str | None, counted: str) -> None:
    assert address(request_from(host)) == counted
    assert address(request_from(host, x_forwarded_for="198.51.100.1", forwarded="for=1.2.3.4")) == address(
        request_from(host)
    )


async def test_each_call_takes_from_its_own_limit() -> None:
    limits = Noting()
    own = allowances(limits)
    request = request_from("203.0.113.9")
    await own.sign_up(request)
    await own.log_in(request, "a@example.org")
    await own.ask(request, "account")
    assert limits.taken == [
        ("signup:203.0.113.9", 20, 3600.0), ("login:203.0.113.9", 30, 60.0), ("login:203.0.113.9:a@example.org", 10, 60.0),
        ("chat:account", 60, 60.0),
    ]  # fmt: skip


async def test_an_allowed_call_says_what_is_left() -> None:
    request = request_from("203.0.113.9")
    await allowances(Noting()).ask(request, "account")
    assert request.state.limit_headers == {"RateLimit-Policy": '"chats";q=60;w=60', "RateLimit": '"chats";r=59;t=2'}


async def test_a_refused_call_says_when_to_come_back() -> None:
    async with MemoryRateLimits() as limits:
        own = allowances(limits, chats=1)
        await own.ask(request_from("203.0.113.9"), "account")
        request = request_from("203.0.113.9")
        with pytest.raises(RateLimited) as error:
            await own.ask(request, "account")
        assert 59_000 < error.value.retry_after_ms <= 60_000
        assert request.state.limit_headers["RateLimit"].startswith('"chats";r=0;t=')
        await own.ask(request_from("203.0.113.9"), "another account")


async def test_zero_is_no_limit() -> None:
    limits = Noting()
    own = allowances(limits, 0, 0, 0)
    request = request_from("203.0.113.9")
    await own.sign_up(request)
    await own.log_in(request, "a@example.org")
    await own.ask(request, "account")
    assert limits.taken == []
    assert not hasattr(request.state, "limit_headers")


@pytest.mark.parametrize(("behind_proxy", "seen"), [(False, "127.0.0.1"), (True, "203.0.113.9")])
async def test_a_forwarded_address_is_believed_behind_a_proxy_only(behind_proxy: bool, seen: str) -> None:
    async def app(scope, receive, send) -> None:
        if scope["type"] == "http":
            body = address(Request(scope)).encode()
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": body})

    async with http_server(app, "127.0.0.1", 0, behind_proxy=behind_proxy) as url, httpx.AsyncClient() as client:
        assert (await client.get(url, headers={"X-Forwarded-For": "203.0.113.9"})).text == seen


async def test_programs_written_for_openai_are_told_in_its_headers() -> None:
    request = request_from("203.0.113.9", "/v1/chat/completions")
    await allowances(Noting()).ask(request, "account")
    told = {name: value for name, value in request.state.limit_headers.items() if name.startswith("x-")}
    assert told == {
        "x-ratelimit-limit-requests": "60",
        "x-ratelimit-remaining-requests": "59",
        "x-ratelimit-reset-requests": "1500ms",
    }
