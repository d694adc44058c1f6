"""Where a Redis is and how to come in, from its URL: redis://, rediss:// (TLS) or unix://, with redis-py's own rules."""

import asyncio
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from redis.asyncio.connection import SSLConnection, UnixDomainSocketConnection, parse_url

P = TypeVar("P", bound=asyncio.BaseProtocol)


@dataclass(frozen=True)
class Address:
    """`name` says it to people, without the password."""

    name: str
    host: str
    port: int
    path: str | None
    tls: ssl.SSLContext | None
    greeting: tuple[tuple[str, ...], ...]
    """Commands that a new connection begins with."""

    @classmethod
    def of(cls, url: str) -> "Address":
        """ValueError when the URL is not one of Redis'."""
        parts: dict[str, Any] = dict(parse_url(url))
        kind = parts.get("connection_class")
        path = parts.get("path") if kind is UnixDomainSocketConnection else None
        tls = SSLConnection(**_of_tls(parts)).ssl_context.get() if kind is SSLConnection else None
        host, port = parts.get("host") or "localhost", int(parts.get("port") or 6379)
        return cls(path or f"{host}:{port}", host, port, path, tls, _greeting(parts))

    async def connect(self, protocol: Callable[[], P]) -> P:
        """A connection that speaks this protocol. Raises OSError (of TLS too)."""
        loop = asyncio.get_running_loop()
        if self.path is not None:
            return (await loop.create_unix_connection(protocol, self.path))[1]
        return (await loop.create_connection(protocol, self.host, self.port, ssl=self.tls))[1]


def _of_tls(parts: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in parts.items() if name.startswith("ssl_")}


def _greeting(parts: dict[str, Any]) -> tuple[tuple[str, ...], ...]:
    commands: list[tuple[str, ...]] = []
    if parts.get("password"):
        user = (str(parts["username"]),) if parts.get("username") else ()
        commands.append(("AUTH", *user, str(parts["password"])))
    if parts.get("db"):
        commands.append(("SELECT", str(parts["db"])))
    return (*commands, ("CLIENT", "SETNAME", "ollamanet"))
