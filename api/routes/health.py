"""Whether this edge lives and is ready, for load balancers: without details, which are on the ops port."""

from fastapi import APIRouter, Response

from api.dependencies import OwnEdge

router = APIRouter(include_in_schema=False)


@router.get("/livez")
async def lives() -> Response:
    """It answers."""
    return Response(b'{"status":"alive"}', media_type="application/json")


@router.get("/readyz")
async def is_ready(edge: OwnEdge) -> Response:
    """200, or 503 while something that it needs is missing."""
    missing = await edge.missing()
    body = b'{"status":"not ready"}' if missing else b'{"status":"ready"}'
    return Response(body, 503 if missing else 200, media_type="application/json")
