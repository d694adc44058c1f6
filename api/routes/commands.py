"""Administrators' commands: how each stands, its stream, and stopping it."""

from typing import Annotated

from fastapi import APIRouter, Query, Response

from api.dependencies import Admin, Cursor, Limit, OwnEdge
from api.documents import EventStream
from api.errors import BadCursor
from api.projections.native import event_stream
from api.routes.generations import After, EventId
from api.schemas.administration import CommandBody, CommandList
from api.schemas.text import Text
from contracts.administration import CommandStatus

router = APIRouter(tags=["operation"])

Status = Annotated[CommandStatus | None, Query(description="Left out: all of them.")]
Model = Annotated[Text | None, Query(max_length=500, description="Only those about this model.")]


@router.get("/api/admin/commands")
async def list_commands(
    caller: Admin, edge: OwnEdge, status: Status = None, model: Model = None, limit: Limit = 30, cursor: Cursor = None
) -> CommandList:
    """Commands, the newest first."""
    try:
        page = await edge.administering.page(limit, cursor, status, model)
    except ValueError as error:
        if cursor is None:
            raise
        raise BadCursor from error
    return CommandList(items=[CommandBody.of(one) for one in page.items], next_cursor=page.next_cursor)


@router.get("/api/admin/commands/{command_id}")
async def get_command(command_id: str, caller: Admin, edge: OwnEdge) -> CommandBody:
    """How a command stands; its progress is at most a second old."""
    return CommandBody.of(await edge.administering.find(command_id))


@router.get("/api/admin/commands/{command_id}/stream", response_class=EventStream)
async def follow_command(
    command_id: str, caller: Admin, edge: OwnEdge, last_event_id: EventId = None, after: After = None
) -> Response:
    """The stream from its start, or after the last event that was seen: `accepted`, `progress` as often as there is any, and one end."""
    command = await edge.administering.find(command_id)
    return event_stream(
        edge.watching.follow(command, last_event_id or after or None), edge.streams, caller.credential_id
    )


@router.post("/api/admin/commands/{command_id}/cancel", status_code=202)
async def cancel_command(command_id: str, caller: Admin, edge: OwnEdge) -> CommandBody:
    """Stop a command. What another command wants as well goes on; what is done stays done."""
    return CommandBody.of(await edge.administering.cancel(command_id, caller.account_id))
