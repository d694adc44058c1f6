"""Accounts and sessions."""

from fastapi import APIRouter, Request, Response

from api.dependencies import LoggedIn, OwnEdge
from api.documents import refuses
from api.errors import NotLoggedIn, SessionEnded
from api.schemas.accounts import ChangeMe, LogIn, Me, RefreshToken, SignUp, TokenPair
from api.security import cookies
from api.security.logins import Tokens, fold

router = APIRouter(tags=["accounts"])


@router.post("/api/auth/signup", status_code=201, responses=refuses(403, 409, 429))
async def sign_up(body: SignUp, request: Request, response: Response, edge: OwnEdge) -> TokenPair:
    """Make an account and log in to it."""
    if body.cookie:
        cookies.allowed(request)
    await edge.allowances.sign_up(request)
    tokens = await edge.logins.sign_up(body.email, body.password, body.display_name)
    return _answer(request, response, tokens, in_cookie=body.cookie)


@router.post("/api/auth/login", responses=refuses(401, 403, 429))
async def log_in(body: LogIn, request: Request, response: Response, edge: OwnEdge) -> TokenPair:
    """Log in. A wrong login is told in the same words, after the same time, whether or not the account exists."""
    if body.cookie:
        cookies.allowed(request)
    await edge.allowances.log_in(request, fold(body.email))
    tokens = await edge.logins.log_in(body.email, body.password)
    return _answer(request, response, tokens, in_cookie=body.cookie)


@router.post("/api/auth/refresh", responses=refuses(401, 403))
async def refresh(body: RefreshToken, request: Request, response: Response, edge: OwnEdge) -> TokenPair:
    """New tokens of the same session. The old refresh token works for 30 s more; its use after that ends the session."""
    if body.refresh_token is not None:
        return TokenPair.of(await edge.logins.refresh(body.refresh_token))
    token = cookies.kept(request)
    if token is None:
        raise SessionEnded
    return _answer(request, response, await edge.logins.refresh(token), in_cookie=True)


@router.post("/api/auth/logout", status_code=204)
async def log_out(body: RefreshToken, request: Request, edge: OwnEdge) -> Response:
    """End the session; its access tokens and open streams end within a second."""
    response = Response(status_code=204)
    token = body.refresh_token or cookies.kept(request)
    if token is not None:
        await edge.logins.log_out(token)
    if body.refresh_token is None and token is not None:
        cookies.forget(request, response)
    return response


@router.get("/api/auth/me")
async def me(caller: LoggedIn, edge: OwnEdge) -> Me:
    """The caller's own account."""
    account = await edge.accounts.get(caller.account_id)
    if account is None:
        raise NotLoggedIn
    return Me.of(account)


@router.patch("/api/auth/me")
async def change_me(body: ChangeMe, caller: LoggedIn, edge: OwnEdge) -> Me:
    """Change the display name."""
    if body.display_name is None:
        return await me(caller, edge)
    account = await edge.accounts.put_display_name(caller.account_id, body.display_name)
    if account is None:
        raise NotLoggedIn
    return Me.of(account)


def _answer(request: Request, response: Response, tokens: Tokens, *, in_cookie: bool) -> TokenPair:
    if in_cookie:
        cookies.keep(request, response, tokens.refresh_token)
    return TokenPair.of(tokens, in_cookie=in_cookie)


@router.get("/.well-known/jwks.json", tags=["accounts"])
async def jwks(edge: OwnEdge) -> dict[str, object]:
    """The public keys that access tokens are signed with, by `kid`."""
    return edge.keys.jwks
