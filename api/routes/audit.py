"""The audit record: who ordered what, and what came of it."""

from typing import Annotated

from fastapi import APIRouter, Query

from api.dependencies import Admin, Cursor, Limit, OwnEdge
from api.errors import BadCursor
from api.schemas.audit import AuditList
from api.schemas.text import Text

router = APIRouter(tags=["operation"])

Actor = Annotated[Text | None, Query(max_length=254, description="An account's id or e-mail address.")]
Word = Annotated[Text | None, Query(max_length=500)]


@router.get("/api/admin/audit")
async def list_audit(
    caller: Admin,
    edge: OwnEdge,
    actor: Actor = None,
    action: Word = None,
    subject: Word = None,
    limit: Limit = 30,
    cursor: Cursor = None,
) -> AuditList:
    """What administrators ordered, the newest first: of one of them, of one kind, about one subject, or all."""
    try:
        page, emails = await edge.audited.page(limit, cursor, actor, action, subject)
    except ValueError as error:
        if cursor is None:
            raise
        raise BadCursor from error
    return AuditList.of(page.items, page.next_cursor, emails)
