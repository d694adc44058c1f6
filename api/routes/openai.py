"""OpenAI's API, for programs that speak it already: only their base URL and key change."""

from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse

from api.dependencies import MayChat, MayRead, OwnEdge
from api.documents import refuses
from api.foreign import begun
from api.idempotency import KeyHeader
from api.projections.openai import Chunks, completion, model_of
from api.schemas.openai import CompletionBody
from api.schemas.openai_answers import ChatCompletion, ListedModel, ListedModels, streamed

router = APIRouter(tags=["openai"])


@router.get("/v1/models", response_model=ListedModels)
async def list_openai_models(caller: MayRead, edge: OwnEdge) -> dict[str, Any]:
    """The models that can be asked now, and their aliases, as OpenAI lists them."""
    choices = (await edge.explore.choices()).values()
    return {"object": "list", "data": [model_of(one.shown) for one in choices if one.listed]}


@router.get("/v1/models/{name:path}", response_model=ListedModel)
async def get_openai_model(name: str, caller: MayRead, edge: OwnEdge) -> dict[str, Any]:
    """One model, as OpenAI shows it."""
    return model_of((await edge.explore.find(name)).shown)


@router.post(
    "/v1/chat/completions",
    response_model=ChatCompletion,
    responses={200: streamed(), **refuses(404, 410, 429, 502, 504)},
)
async def complete_chat(
    body: CompletionBody, request: Request, caller: MayChat, edge: OwnEdge, key: KeyHeader = None
) -> Response:
    """Go on with a conversation, as OpenAI's chat completions do, whole or with `stream: true` in chunks.

    The model reads `messages` as they are. The last thing the user said and the answer become a chat of the caller's. What cannot
    be honoured is refused by name. In mid-stream an error is `data: {"error": …}`, without `[DONE]`. Hanging up cancels, unless
    the request has an `Idempotency-Key`, under which the same answer can be had again.
    """
    question, telling = await begun(edge, request, caller, body.ask(), key)
    if body.stream:
        return telling.stream(Chunks(question, include_usage=body.include_usage))
    return JSONResponse(completion(question, await telling.whole(request)))
