"""What routes ask for: the edge, and who calls. Async, so that none costs a thread."""

from dataclasses import dataclass, replace
from typing import Annotated

from fastapi import Depends, Query, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from api.edge import Edge
from api.errors import NotLoggedIn
from api.security.secret import PREFIX
from api.security.signing import InvalidToken
from contracts.errors import NotPermitted
from contracts.records import Role

_bearer = HTTPBearer(
    auto_error=False, scheme_name="token", description="`Authorization: Bearer <access token or API key>`"
)


@dataclass(frozen=True)
class Caller:
    """Who is at the edge: a person who is logged in, or a program with an API key of that person.

    `credential_id`: of the session or the key; streams end with it. `scopes`: of the key; None for a person, who may do
    everything that the role allows.
    """

    account_id: str
    credential_id: str
    role: Role
    scopes: frozenset[str] | None = None

    @property
    def key_id(self) -> str | None:
        """The API key, where it is one."""
        return None if self.scopes is None else self.credential_id


async def edge_of(request: Request) -> Edge:
    """The edge that answers."""
    return request.app.state.edge


OwnEdge = Annotated[Edge, Depends(edge_of)]


async def caller_of(edge: OwnEdge, token: Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)]) -> Caller:
    """Whose access token or API key came along; NotLoggedIn when it is missing or not valid (any more), AccountSuspended."""
    if token is None:
        raise NotLoggedIn
    credentials = token.credentials
    return await (_program(edge, credentials) if credentials.startswith(PREFIX) else _person(edge, credentials))


async def _person(edge: Edge, token: str) -> Caller:
    try:
        claims = edge.keys.verify(token)
    except InvalidToken as error:
        raise NotLoggedIn("This access token is not valid, or not any more: refresh it or log in.") from error
    if not await edge.sessions.living(claims.session_id):
        raise NotLoggedIn("This session has ended: log in again.")
    return Caller(claims.account_id, claims.session_id, claims.role)


async def _program(edge: Edge, secret: str) -> Caller:
    known = await edge.live_keys.known(secret)
    if known is None:
        raise NotLoggedIn("This API key is not valid, or not any more.")
    scopes = frozenset(known.key.scopes)
    return Caller(known.key.owner, known.key.id, known.role, scopes | {"read"} if "chat" in scopes else scopes)


Anybody = Annotated[Caller, Depends(caller_of)]
"""A person, or any key of theirs."""


async def person_of(caller: Anybody) -> Caller:
    """A person who is logged in. NotPermitted for an API key."""
    if caller.scopes is not None:
        raise NotPermitted("An API key may not do this: log in.")
    return caller


async def reader_of(caller: Anybody) -> Caller:
    """A person, or a key that may read. NotPermitted for others."""
    return _with_scope(caller, "read")


async def asker_of(caller: Anybody) -> Caller:
    """A person, or a key that may chat. NotPermitted for others."""
    return _with_scope(caller, "chat")


def _with_scope(caller: Caller, scope: str) -> Caller:
    if caller.scopes is not None and scope not in caller.scopes:
        raise NotPermitted(f"This API key has no scope `{scope}`.")
    return caller


LoggedIn = Annotated[Caller, Depends(person_of)]
"""Only a person: what is theirs alone."""
MayRead = Annotated[Caller, Depends(reader_of)]
"""Reads chats, generations, models: a person, or a key with the scope `read` or `chat`."""
MayChat = Annotated[Caller, Depends(asker_of)]
"""Asks, cancels, renames, deletes: a person, or a key with the scope `chat`."""


async def admin_of(caller: LoggedIn, edge: OwnEdge) -> Caller:
    """An administrator as the store knows them now: a token may be a quarter of an hour older. NotPermitted for everybody else."""
    account = await edge.accounts.get(caller.account_id)
    if account is None or account.role != "admin" or account.status != "active":
        raise NotPermitted("Only an administrator may do this.")
    return replace(caller, role=account.role)


Admin = Annotated[Caller, Depends(admin_of)]
Limit = Annotated[int, Query(ge=1, le=100, description="Items on a page.")]
Cursor = Annotated[str | None, Query(max_length=500, description="`next_cursor` of the page before.")]
