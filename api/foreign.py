"""Questions that come in by another API: begun as any other, and told to clients that cannot resume."""

from fastapi import Request

from api.dependencies import Caller
from api.edge import Edge
from api.errors import LARGEST_BODY, MalformedBody
from api.following import Known
from api.idempotency import key_of
from api.projections.telling import Telling
from api.replies import Ask
from contracts.commands import Question


async def begun(edge: Edge, request: Request, caller: Caller, ask: Ask, key: str | None) -> tuple[Question, Telling]:
    """The accepted question and its telling. Raises as `Replies.start`.

    Who hangs up without an Idempotency-Key could never get at the answer again, so it is cancelled. Who sent one gets the same
    answer under the same key, so it goes on.
    """
    known = await accepted(edge, request, caller, ask, key)
    abandons = edge.abandoning if key is None else None
    return known.asked, Telling(known.asked, edge.following.follow(known), edge.streams, caller.credential_id, abandons)


async def accepted(edge: Edge, request: Request, caller: Caller, ask: Ask, key: str | None) -> Known:
    """What was begun, now or before under the same key. Raises MalformedBody where more than 1 MiB of the body is no image, and as
    `Replies.start`."""
    if len(await request.body()) - ask.inline > LARGEST_BODY:
        raise MalformedBody(413, "body_too_large", f"A body may have at most {LARGEST_BODY} bytes besides its images.")
    return await edge.replies.start(
        caller.account_id,
        ask,
        allow=lambda: edge.allowances.ask(request, caller.account_id),
        key=key_of(key, ("ask", ask.canonical()), of=caller.key_id),
    )
