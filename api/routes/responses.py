"""OpenAI's Responses API: responses that go on without their client and can be had again, whole or as the rest of a stream."""

import asyncio
import time
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request, Response
from fastapi.responses import JSONResponse

from api.dependencies import MayChat, MayRead, OwnEdge
from api.documents import refuses
from api.errors import Unsupported
from api.following import Known
from api.foreign import accepted
from api.idempotency import KeyHeader
from api.projections.responses import response_now, response_of
from api.projections.responses_events import ResponseEvents
from api.projections.responses_stream import FollowedResponse
from api.responding import Responding
from api.schemas.responses import ResponseBody
from api.schemas.responses_answers import ResponseAnswer, streamed

router = APIRouter(tags=["openai"])

CANCELS_WITHIN = 2.0
"""Seconds that a cancel waits for the end: a worker has it within milliseconds, unless it is gone."""
PAUSE = 0.02
"""Seconds between two looks, doubled each time up to 0.25."""
After = Annotated[int | None, Query(ge=0, lt=2**31, description="The last `sequence_number` seen.")]
Streamed = Annotated[bool, Query(description="As events, from the first one, or after the one seen last.")]


async def responding_of(edge: OwnEdge) -> Responding:
    """Over this edge."""
    return Responding(edge.following, edge.overlay)


Asked = Annotated[Responding, Depends(responding_of)]


@router.post(
    "/v1/responses",
    response_model=ResponseAnswer,
    responses={200: streamed(), **refuses(404, 409, 410, 429, 502, 504)},
)
async def create_response(
    body: ResponseBody, request: Request, caller: MayChat, edge: OwnEdge, asked: Asked, key: KeyHeader = None
) -> Response:
    """Ask a model: whole, with `stream: true` in events, with `background: true` at once and to be had later.

    The question and the answer become a chat of the caller's, or go on in that of `previous_response_id`. What cannot be honoured
    is refused by name. Hanging up cancels, unless it runs in the background or the request has an `Idempotency-Key`. A stream can be
    resumed with `GET`, also one that did not run in the background and whose connection this server ended.
    """
    known = await accepted(edge, request, caller, await asked.ask(caller.account_id, body), key)
    if body.background and not body.stream:
        return JSONResponse(response_now(known))
    batches = edge.following.follow(known)
    abandons = None if body.background or key is not None else edge.abandoning
    telling = FollowedResponse(known.asked, batches, edge.streams, caller.credential_id, abandons)
    if body.stream:
        return telling.follow(ResponseEvents(known.asked))
    return JSONResponse(response_of(known.asked, await telling.whole(request)))


@router.get("/v1/responses/{response_id}", response_model=ResponseAnswer, responses={200: streamed()})
async def get_response(
    response_id: str,
    request: Request,
    caller: MayRead,
    edge: OwnEdge,
    asked: Asked,
    stream: Streamed = False,
    starting_after: After = None,
) -> Response:
    """A response as it stands, or its events. Any generation of the caller's is one, wherever it was begun."""
    for name, value in request.query_params.multi_items():
        if name.startswith("include") and value and value != "false":
            raise Unsupported(name.partition("[")[0][:100], "Nothing more than this can be included: leave it out.")
    known = await asked.find(caller.account_id, response_id)
    if not stream:
        if starting_after is not None:
            raise Unsupported("starting_after", "starting_after goes with stream=true.")
        return JSONResponse(response_now(known))
    batches = edge.following.follow(known)
    telling = FollowedResponse(known.asked, batches, edge.streams, caller.credential_id, None)
    return telling.follow(ResponseEvents(known.asked, starting_after))


@router.post("/v1/responses/{response_id}/cancel", response_model=ResponseAnswer)
async def cancel_response(response_id: str, caller: MayChat, edge: OwnEdge, asked: Asked) -> dict[str, Any]:
    """Stop a response: queued, loading or streaming. What was written stays. One that had ended is answered as it is."""
    known = await asked.find(caller.account_id, response_id)
    await edge.cancelling.cancel(caller.account_id, known.asked.generation_id)
    return response_now(await _ended(asked, caller.account_id, response_id))


async def _ended(asked: Responding, owner: str, response_id: str) -> Known:
    """The generation when it has ended; as it stands where that takes too long."""
    deadline, pause = time.monotonic() + CANCELS_WITHIN, PAUSE
    while True:
        known = await asked.find(owner, response_id)
        over = known.message is not None or (known.shown is not None and known.shown.state == "closed")
        if over or time.monotonic() > deadline:
            return known
        await asyncio.sleep(pause)
        pause = min(2 * pause, 0.25)
