"""Back-ends: the servers that run models, as administrators add, try, change and remove them."""

import base64
import binascii

from fastapi import APIRouter, Response

from api.dependencies import Admin, Cursor, Limit, OwnEdge
from api.documents import refuses
from api.errors import BadCursor
from api.idempotency import KeyHeader
from api.schemas.backends import AddBackend, BackendBody, BackendList, ChangeBackend, LookedBody

router = APIRouter(tags=["operation"])

_AFTER = "backend>"
"""What cursors of this list begin with."""


@router.get("/api/admin/backends")
async def list_backends(caller: Admin, edge: OwnEdge, limit: Limit = 30, cursor: Cursor = None) -> BackendList:
    """Back-ends by name, and how each stands now."""
    page = await edge.backends.page(limit, _read(cursor) if cursor else "")
    return BackendList.of(page, _cursor(page.last) if page.last else None)


@router.post("/api/admin/backends", status_code=201, responses=refuses(409))
async def add_backend(body: AddBackend, caller: Admin, edge: OwnEdge, key: KeyHeader = None) -> BackendBody:
    """Add a back-end. Its key is kept encrypted and never shown. Unless the platform allows private networks, its URL may lead to
    public addresses only."""
    return BackendBody.of(await edge.adding.add(body.settings(), caller.account_id, key))


@router.get("/api/admin/backends/{name}")
async def get_backend(name: str, caller: Admin, edge: OwnEdge) -> BackendBody:
    """One back-end, and how it stands now."""
    return BackendBody.of(await edge.backends.find(name))


@router.patch("/api/admin/backends/{name}", responses=refuses(409))
async def change_backend(name: str, body: ChangeBackend, caller: Admin, edge: OwnEdge) -> BackendBody:
    """Change what is sent and nothing else. A URL of another server needs the `api_key` of that one, or null."""
    return BackendBody.of(await edge.backends.change(name, body.changes(), caller.account_id))


@router.delete("/api/admin/backends/{name}", status_code=204, responses=refuses(409))
async def remove_backend(name: str, caller: Admin, edge: OwnEdge) -> Response:
    """Remove a back-end: nothing more is sent there. What it answers right now goes on; its models stay on that server."""
    await edge.backends.remove(name, caller.account_id)
    return Response(status_code=204)


@router.post("/api/admin/backends/{name}/test", responses=refuses(504))
async def test_backend(name: str, caller: Admin, edge: OwnEdge) -> LookedBody:
    """Have the catalog look at it now, and say what that found. Nothing is generated."""
    await edge.backends.find(name)
    return LookedBody.of(await edge.looking.at(name))


def _cursor(name: str) -> str:
    return base64.urlsafe_b64encode(f"{_AFTER}{name}".encode()).decode()


def _read(cursor: str) -> str:
    try:
        made = base64.b64decode(cursor.encode(), altchars=b"-_", validate=True).decode()
    except (ValueError, binascii.Error) as error:
        raise BadCursor from error
    if not made.startswith(_AFTER):
        raise BadCursor
    return made.removeprefix(_AFTER)
