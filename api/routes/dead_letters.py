"""Dead letters: what nobody could handle, for administrators to look at and to decide."""

from typing import Annotated

from fastapi import APIRouter, Query

from api.dependencies import Admin, Cursor, Limit, OwnEdge
from api.documents import refuses
from api.errors import BadCursor
from api.idempotency import KeyHeader
from api.schemas.dead_letters import (
    DeadLetterBody,
    DeadLetterList,
    Letters,
    ReplayAnswer,
    ReplayAnswers,
    ReplayedLetter,
    WholeDeadLetter,
)
from contracts.records import DeadLetterStatus

router = APIRouter(tags=["operation"])

Status = Annotated[DeadLetterStatus | None, Query(description="Left out: all of them.")]


@router.get("/api/admin/dead-letters", responses=refuses(403))
async def list_dead_letters(
    caller: Admin, edge: OwnEdge, status: Status = None, limit: Limit = 30, cursor: Cursor = None
) -> DeadLetterList:
    """Dead letters, the last to die first, without what they say."""
    try:
        return DeadLetterList.of(await edge.dead_letters.page(limit, cursor, status=status))
    except ValueError as error:
        if cursor is None:
            raise
        raise BadCursor from error


@router.post("/api/admin/dead-letters/replay", responses=refuses(403))
async def replay_dead_letters(body: Letters, caller: Admin, edge: OwnEdge, key: KeyHeader = None) -> ReplayAnswers:
    """Replay up to 100 letters, one after the other; the answer says for each what happened."""
    outcomes = await edge.replaying.replay_all(body.ids, caller.account_id, key)
    return ReplayAnswers(items=[ReplayAnswer.to(letter_id, one) for letter_id, one in outcomes.items()])


@router.get("/api/admin/dead-letters/{letter_id}", responses=refuses(403))
async def get_dead_letter(letter_id: str, caller: Admin, edge: OwnEdge) -> WholeDeadLetter:
    """One letter with its attributes and its body, which may hold what a person wrote."""
    return WholeDeadLetter.whole(await edge.replaying.find(letter_id))


@router.post("/api/admin/dead-letters/{letter_id}/replay", status_code=202, responses=refuses(403, 409, 410, 429))
async def replay_dead_letter(letter_id: str, caller: Admin, edge: OwnEdge, key: KeyHeader = None) -> ReplayedLetter:
    """Handle it once more. A question becomes a new generation beside the dead one, in the chat of the person who asked it."""
    return ReplayedLetter.of(await edge.replaying.replay(letter_id, caller.account_id, key))


@router.post("/api/admin/dead-letters/{letter_id}/discard", responses=refuses(403, 409))
async def discard_dead_letter(letter_id: str, caller: Admin, edge: OwnEdge, key: KeyHeader = None) -> DeadLetterBody:
    """Decide that nothing is to be done; the letter stays, as `discarded`."""
    return DeadLetterBody.of(await edge.replaying.discard(letter_id, caller.account_id, key))
