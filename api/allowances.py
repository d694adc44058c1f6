"""How fast a caller may go, and the headers that say so (IETF draft `RateLimit`)."""

import ipaddress
import math
from dataclasses import dataclass

from fastapi import Request

from contracts.errors import RateLimited
from contracts.images import MOST_IN_QUESTION
from contracts.ports.limits import Allowance, RateLimits

MINUTE, HOUR = 60.0, 3600.0
ADDRESS_FACTOR = 3
"""Logins of an address, as a multiple of those of one account from there."""


@dataclass(frozen=True)
class Allowances:
    """Takes from limits. A refused call raises RateLimited; an allowed one has its headers on the answer."""

    limits: RateLimits
    signups_per_hour: int
    logins_per_minute: int
    chats_per_minute: int

    async def sign_up(self, request: Request) -> None:
        """One more account from this address."""
        await self._take(request, "signups", f"signup:{address(request)}", self.signups_per_hour, HOUR)

    async def log_in(self, request: Request, email: str) -> None:
        """One more try at this account from this address, and one more from this address at all."""
        at = address(request)
        await self._take(request, "address-logins", f"login:{at}", self.logins_per_minute * ADDRESS_FACTOR, MINUTE)
        await self._take(request, "logins", f"login:{at}:{email}", self.logins_per_minute, MINUTE)

    async def ask(self, request: Request, account_id: str) -> None:
        """One more question of this person."""
        await self._take(request, "chats", f"chat:{account_id}", self.chats_per_minute, MINUTE)

    async def send_image(self, request: Request, account_id: str) -> None:
        """One more image of this person: as many as the questions may have that one may ask."""
        limit = self.chats_per_minute * MOST_IN_QUESTION
        await self._take(request, "images", f"image:{account_id}", limit, MINUTE)

    async def _take(self, request: Request, policy: str, key: str, limit: int, window: float) -> None:
        if limit <= 0:
            return
        allowance = await self.limits.take(key, limit, window)
        reset = math.ceil(allowance.reset_ms / 1000)
        request.state.limit_headers = {
            "RateLimit-Policy": f'"{policy}";q={limit};w={window:.0f}',
            "RateLimit": f'"{policy}";r={allowance.remaining};t={reset}',
            **(_openai(limit, allowance) if request.url.path.startswith("/v1/") else {}),
        }
        if not allowance.allowed:
            raise RateLimited(allowance.retry_after_ms)


def _openai(limit: int, allowance: Allowance) -> dict[str, str]:
    """The same as OpenAI's clients read it."""
    return {
        "x-ratelimit-limit-requests": str(limit),
        "x-ratelimit-remaining-requests": str(allowance.remaining),
        "x-ratelimit-reset-requests": f"{allowance.reset_ms}ms",
    }


def address(request: Request) -> str:
    """Who is counted as one: an IPv4 address, or the /64 of an IPv6 one, which belongs to one customer."""
    host = request.client.host if request.client else "unknown"
    try:
        parsed = ipaddress.ip_address(host)
    except ValueError:
        return host
    if isinstance(parsed, ipaddress.IPv6Address):
        if parsed.ipv4_mapped is not None:
            return str(parsed.ipv4_mapped)
        return str(ipaddress.ip_network((parsed, 64), strict=False))
    return host
