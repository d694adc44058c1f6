"""Where a back-end's URL leads, found out before it is kept. Those who call it look again, at every connection."""

import asyncio
import socket
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

from api.errors import Mistaken
from contracts.addresses import is_private

LOOK_UP = 5.0
"""Seconds that the name service has."""
SETTING = "OLLAMANET_ALLOW_PRIVATE_BACKENDS"
LookUp = Callable[[str], Awaitable[Sequence[str]]]
"""The addresses of a host. Raises OSError where there is none."""


async def looked_up(host: str) -> Sequence[str]:
    """As this machine finds them."""
    found = await asyncio.get_running_loop().getaddrinfo(host, None, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(address[0]) for *_, address in found))


@dataclass(frozen=True)
class Reaching:
    """private: whether back-ends may stand in private networks. Then nothing is looked up: a name may mean something to workers alone."""

    private: bool
    look_up: LookUp = looked_up

    async def check(self, url: str) -> None:
        """Raises Mistaken where a URL in its one form does not lead to public addresses alone."""
        if self.private:
            return
        host = urlsplit(url).hostname or ""
        private = next((one for one in await self._addresses(host) if is_private(one.partition("%")[0])), None)
        if private is not None:
            named = private if private == host else f"{host[:80]} has the address {private}, which"
            raise Mistaken("/url", f"{named} is in a private network: {SETTING}=true allows that")

    async def _addresses(self, host: str) -> Sequence[str]:
        try:
            async with asyncio.timeout(LOOK_UP):
                found = await self.look_up(host)
        except TimeoutError as error:
            raise Mistaken("/url", f"nobody knew within {LOOK_UP:.0f} s where {host[:100]} is") from error
        except (OSError, UnicodeError) as error:
            raise _unknown(host) from error
        if not found:
            raise _unknown(host)
        return found


def _unknown(host: str) -> Mistaken:
    return Mistaken("/url", f"{host[:100]} has no address: nobody knows that name")
