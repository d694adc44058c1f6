"""Questions that come in by another API: begun as any other, and told to clients that cannot resume."""

from fastapi import Request

from api.dependencies import Caller
from api.edge import Edge
from api.idempotency import key_of
from api.projections.telling import Telling
from api.replies import Ask
from contracts.commands import Question
from contracts.recording import question_of


async def begun(edge: Edge, request: Request, caller: Caller, ask: Ask, key: str | None) -> tuple[Question, Telling]:
    """The accepted question and its telling. Raises as `Replies.start`.

    Who hangs up without an Idempotency-Key could never get at the answer again, so it is cancelled. Who sent one gets the same
    answer under the same key, so it goes on.
    """
    known = await edge.replies.start(
        caller.account_id,
        ask,
        allow=lambda: edge.allowances.ask(request, caller.account_id),
        key=key_of(key, ("ask", ask.canonical()), of=caller.key_id),
    )
    question = question_of(known.message) if known.message else known.question
    assert question is not None
    batches = edge.following.follow(known)
    abandons = edge.abandoning if key is None else None
    return question, Telling(question, batches, edge.streams, caller.credential_id, abandons)
