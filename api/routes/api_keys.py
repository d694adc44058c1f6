"""API keys: what programs send that were written for OpenAI, Ollama or this platform."""

from fastapi import APIRouter, Response

from api.dependencies import Cursor, Limit, LoggedIn, OwnEdge
from api.documents import refuses
from api.errors import BadCursor
from api.idempotency import KeyHeader
from api.schemas.api_keys import KeyList, MakeKey, SecretKey

router = APIRouter(tags=["accounts"])


@router.post("/api/auth/keys", status_code=201, responses=refuses(409))
async def make_key(body: MakeKey, caller: LoggedIn, edge: OwnEdge, key: KeyHeader = None) -> SecretKey:
    """Make an API key; its secret is shown this once, and to a repeat under the same `Idempotency-Key`. A person has at most 50."""
    made = await edge.own_keys.make(caller.account_id, body.name, body.scopes, body.expires_at, key)
    return SecretKey.made(made)


@router.get("/api/auth/keys")
async def list_keys(caller: LoggedIn, edge: OwnEdge, limit: Limit = 30, cursor: Cursor = None) -> KeyList:
    """The caller's own keys, the newest first; those that expired stand there until they are revoked."""
    try:
        return KeyList.page(await edge.own_keys.page(caller.account_id, limit, cursor))
    except ValueError as error:
        if cursor is None:
            raise
        raise BadCursor from error


@router.delete("/api/auth/keys/{key_id}", status_code=204)
async def revoke_key(key_id: str, caller: LoggedIn, edge: OwnEdge) -> Response:
    """Revoke a key; requests with it are refused, and its open streams end, within a second."""
    await edge.own_keys.revoke(caller.account_id, key_id)
    return Response(status_code=204)
