"""What routes ask for: the edge, and who calls. Async, so that none costs a thread."""

from dataclasses import dataclass, replace
from typing import Annotated

from fastapi import Depends, Query, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from api.edge import Edge
from api.errors import NotLoggedIn
from api.security.signing import InvalidToken
from contracts.errors import NotPermitted
from contracts.records import Role

_bearer = HTTPBearer(auto_error=False, scheme_name="token", description="`Authorization: Bearer <access token>`")


@dataclass(frozen=True)
class Caller:
    """Who is at the edge."""

    account_id: str
    session_id: str
    role: Role


async def edge_of(request: Request) -> Edge:
    """The edge that answers."""
    return request.app.state.edge


OwnEdge = Annotated[Edge, Depends(edge_of)]


async def caller_of(edge: OwnEdge, token: Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)]) -> Caller:
    """The person whose access token came along; NotLoggedIn when it is missing, not valid, or of a session that ended."""
    if token is None:
        raise NotLoggedIn
    try:
        claims = edge.keys.verify(token.credentials)
    except InvalidToken as error:
        raise NotLoggedIn("This access token is not valid, or not any more: refresh it or log in.") from error
    if not await edge.sessions.living(claims.session_id):
        raise NotLoggedIn("This session has ended: log in again.")
    return Caller(claims.account_id, claims.session_id, claims.role)


LoggedIn = Annotated[Caller, Depends(caller_of)]


async def admin_of(caller: LoggedIn, edge: OwnEdge) -> Caller:
    """An administrator as the store knows them now: a token may be a quarter of an hour older. NotPermitted for everybody else."""
    account = await edge.accounts.get(caller.account_id)
    if account is None or account.role != "admin" or account.status != "active":
        raise NotPermitted("Only an administrator may do this.")
    return replace(caller, role=account.role)


Admin = Annotated[Caller, Depends(admin_of)]
Limit = Annotated[int, Query(ge=1, le=100, description="Items on a page.")]
Cursor = Annotated[str | None, Query(max_length=500, description="`next_cursor` of the page before.")]
