"""Generations: how they stand, their streams, and stopping them."""

from typing import Annotated

from fastapi import APIRouter, Header, Query, Response

from api.dependencies import MayChat, MayRead, OwnEdge
from api.documents import EventStream
from api.projections.native import event_stream
from api.schemas.generations import CancelAccepted, GenerationBody

router = APIRouter(tags=["generations"])

EventId = Annotated[str | None, Header(alias="Last-Event-ID", description="The last event seen.")]
After = Annotated[str | None, Query(description="The same, where a header cannot be sent.")]


@router.get("/api/generations/{generation_id}")
async def get_generation(generation_id: str, caller: MayRead, edge: OwnEdge) -> GenerationBody:
    """How a generation stands."""
    return GenerationBody.of(await edge.following.find(caller.account_id, generation_id))


@router.get("/api/generations/{generation_id}/stream", response_class=EventStream)
async def follow(
    generation_id: str, caller: MayRead, edge: OwnEdge, last_event_id: EventId = None, after: After = None
) -> Response:
    """The stream from its start, or after the last event that was seen; on any edge, during the generation and afterwards."""
    known = await edge.following.find(caller.account_id, generation_id)
    last = last_event_id or after or None  # junk is an id that the log does not hold
    return event_stream(edge.following.follow(known, last), edge.streams, caller.credential_id)


@router.post("/api/generations/{generation_id}/cancel", status_code=202)
async def cancel(generation_id: str, caller: MayChat, edge: OwnEdge) -> CancelAccepted:
    """Stop a generation: queued, loading or streaming. What was written stays, as `cancelled`."""
    known = await edge.cancelling.cancel(caller.account_id, generation_id)
    return CancelAccepted(generation_id=generation_id, status=GenerationBody.of(known).status)
