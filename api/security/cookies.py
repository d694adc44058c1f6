"""The refresh token as a cookie, for browsers: no script can read it, no other site can use it."""

import ipaddress

from fastapi import Request, Response

from api.security.logins import SESSION
from contracts.errors import NotPermitted

OVER_TLS, ON_LOOPBACK = "__Host-ollamanet", "ollamanet"


def allowed(request: Request) -> None:
    """Raises NotPermitted where neither TLS nor the loopback would keep it secret, or another site asks."""
    _name(request)
    _own_origin(request)


def keep(request: Request, response: Response, refresh_token: str) -> None:
    """Put it into the cookie."""
    response.set_cookie(
        _name(request),
        refresh_token,
        max_age=int(SESSION.total_seconds()),
        httponly=True,
        secure=request.url.scheme == "https",
        samesite="strict",
        path="/",
    )


def forget(request: Request, response: Response) -> None:
    """Have the browser drop it."""
    name = _name(request)
    response.delete_cookie(name, httponly=True, secure=name == OVER_TLS, samesite="strict", path="/")


def kept(request: Request) -> str | None:
    """The refresh token that this browser keeps; None where it has none. Raises NotPermitted when another site asks."""
    if not any(name in request.cookies for name in (OVER_TLS, ON_LOOPBACK)):
        return None
    _own_origin(request)
    return request.cookies.get(_name(request))


def _own_origin(request: Request) -> None:
    """Raises NotPermitted unless the browser says that a page of this very origin asks."""
    if request.headers.get("origin") != f"{request.url.scheme}://{request.url.netloc}":
        raise NotPermitted("Only this platform's own pages may use its cookie.")


def _name(request: Request) -> str:
    if request.url.scheme == "https":
        return OVER_TLS
    if not _loopback(request.url.hostname or ""):
        raise NotPermitted("A login is kept in a cookie over TLS only: use https, or the loopback address.")
    return ON_LOOPBACK


def _loopback(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
