"""Connections to model servers: where they may lead, and whose certificates count."""

import errno
import socket
import ssl

import aiohttp

from contracts.addresses import is_private
from contracts.certificates import trusting
from contracts.records import BackendSettings

ALLOWING = "OLLAMANET_ALLOW_PRIVATE_BACKENDS"


class PrivateAddress(OSError):
    """A name or a URL led to a private address. All say the same, so that several addresses of a name give this very error."""

    def __init__(self) -> None:
        super().__init__(errno.EACCES, "a private address")


def guarded_connector(settings: BackendSettings, *, allow_private: bool) -> aiohttp.TCPConnector:
    """Connections for one back-end. Raises ValueError where its `tls_ca` has no certificate.

    Unless `allow_private`, no socket is made to a private address: it is looked at when it is about to be used, after every look-up
    of the name, so that a name server which changes its mind between a check and a call gains nothing.
    """
    # no limit of connections: slots are the limit.
    # Each call has its own connection: llama.cpp closes kept ones when it likes, and a POST that meets that has failed.
    return aiohttp.TCPConnector(
        limit=0,
        force_close=True,
        ssl=_trust(settings),
        socket_factory=None if allow_private else public_socket,
    )


def public_socket(where: aiohttp.AddrInfoType) -> socket.socket:
    """The `socket_factory` of a connector that leads to public addresses alone. Raises PrivateAddress."""
    family, kind, protocol, _, address = where
    if is_private(str(address[0])):
        raise PrivateAddress
    return socket.socket(family, kind, protocol)


def _trust(settings: BackendSettings) -> ssl.SSLContext | bool:
    """False: no certificate is looked at."""
    if not settings.tls_verify:
        return False
    if settings.tls_ca is None:
        return True
    try:
        return trusting(settings.tls_ca)
    except ValueError as error:
        raise ValueError(f"The tls_ca of the back-end {settings.name!r} is none: {error}.") from error
