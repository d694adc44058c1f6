"""OpenAI's API, for programs that speak it already: only their base URL and key change."""

from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse

from api.dependencies import MayChat, MayRead, OwnEdge
from api.documents import refuses
from api.explore import plain_name
from api.foreign import begun
from api.idempotency import KeyHeader
from api.projections.openai import Chunks, completion, model_of
from api.schemas.openai import CompletionBody
from api.schemas.openai_answers import ChatCompletion, ListedModel, ListedModels, streamed
from contracts.errors import UnknownModel

router = APIRouter(tags=["openai"])


@router.get("/v1/models", response_model=ListedModels)
async def list_openai_models(caller: MayRead, edge: OwnEdge) -> dict[str, Any]:
    """The models that can be asked now, as OpenAI lists them."""
    models = sorted((await edge.explore.models()).values(), key=lambda one: one.name)
    return {"object": "list", "data": [model_of(one) for one in models if one.available]}


@router.get("/v1/models/{name:path}", response_model=ListedModel)
async def get_openai_model(name: str, caller: MayRead, edge: OwnEdge) -> dict[str, Any]:
    """One model, as OpenAI shows it."""
    model = (await edge.explore.models()).get(plain_name(name))
    if model is None:
        raise UnknownModel(name)
    return model_of(model)


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
