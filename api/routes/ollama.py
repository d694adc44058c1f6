"""Ollama's own API, for programs that speak it already: only their host and a header with the key change."""

from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse, PlainTextResponse

from api.dependencies import Caller, MayChat, MayRead, OwnEdge
from api.documents import refuses
from api.edge import Edge
from api.errors import Unsupported
from api.explore import plain_name
from api.foreign import begun
from api.idempotency import KeyHeader
from api.projections.ollama import Lines, Shape, answer, chat_shape, generate_shape, loaded
from api.projections.ollama_models import context_of, listed, resident, shown
from api.schemas.ollama import OllamaChatBody, OllamaGenerateBody, OllamaShowBody
from api.schemas.ollama_answers import (
    OllamaChatAnswer,
    OllamaGenerateAnswer,
    OllamaLoaded,
    OllamaModels,
    OllamaShown,
    OllamaVersion,
    streamed,
)

router = APIRouter(tags=["ollama"])

SPOKEN = "0.9.6"
"""Clients ask for a version before they use what is newer: thinking came with 0.9, capabilities with 0.6.4."""


@router.api_route("/ollama", methods=["GET", "HEAD"], include_in_schema=False)
@router.api_route("/ollama/", methods=["GET", "HEAD"], include_in_schema=False)
async def is_there() -> Response:
    """What clients look for before anything else."""
    return PlainTextResponse("Ollama is running")


@router.get("/ollama/api/version", response_model=OllamaVersion)
async def get_ollama_version() -> dict[str, str]:
    """Which Ollama's API this is."""
    return {"version": SPOKEN}


@router.get("/ollama/api/tags", response_model=OllamaModels)
async def list_ollama_models(caller: MayRead, edge: OwnEdge) -> dict[str, Any]:
    """The models that can be asked now, and their aliases, as Ollama lists them: `x` as `x:latest`, which is the same model."""
    return {"models": [listed(one.shown) for one in (await edge.explore.choices()).values() if one.listed]}


@router.post("/ollama/api/show", response_model=OllamaShown, responses=refuses(404, 410))
async def show_ollama_model(body: OllamaShowBody, caller: MayRead, edge: OwnEdge) -> dict[str, Any]:
    """One model in full, as far as its back-ends tell."""
    return shown((await edge.explore.find(body.wanted())).shown)


@router.get("/ollama/api/ps", response_model=OllamaLoaded)
async def list_loaded_models(caller: MayRead, edge: OwnEdge) -> dict[str, Any]:
    """The models that back-ends have in memory, as the catalog saw them some seconds ago; only back-ends of Ollama's kind tell."""
    return {"models": resident(await edge.explore.models(), await edge.explore.health())}


@router.post(
    "/ollama/api/chat",
    response_model=OllamaChatAnswer,
    responses={200: streamed("message"), **refuses(404, 410, 429, 502, 504)},
)
async def chat_as_ollama(
    body: OllamaChatBody, request: Request, caller: MayChat, edge: OwnEdge, key: KeyHeader = None
) -> Response:
    """Go on with a conversation, as Ollama's chat does: in lines, or whole with `stream: false`.

    The model reads `messages` as they are: nothing is cut off where they are too long. The last thing the user said and the answer
    become a chat of the caller's. What cannot be honoured is refused by name; `keep_alive` is let pass. In mid-stream an error is
    a last line `{"error": …}`. Hanging up cancels, unless the request has an `Idempotency-Key`, under which the same answer can be
    had again.
    """
    return await _answered(body, chat_shape, request, caller, edge, key)


@router.post(
    "/ollama/api/generate",
    response_model=OllamaGenerateAnswer,
    responses={200: streamed("response"), **refuses(404, 410, 429, 502, 504)},
)
async def generate_as_ollama(
    body: OllamaGenerateBody, request: Request, caller: MayChat, edge: OwnEdge, key: KeyHeader = None
) -> Response:
    """Answer one question, as Ollama's generate does; otherwise as `/ollama/api/chat`."""
    return await _answered(body, generate_shape, request, caller, edge, key)


async def _answered(
    body: OllamaChatBody | OllamaGenerateBody,
    shape: Shape,
    request: Request,
    caller: Caller,
    edge: Edge,
    key: str | None,
) -> Response:
    ask = body.ask()
    if ask is None:
        await edge.explore.available(body.model)
        return JSONResponse(loaded(body.model, shape))
    if body.context_wanted:
        await _has_context(edge, body.model, body.context_wanted)
    _, telling = await begun(edge, request, caller, ask, key)
    if body.stream is not False:
        return telling.stream(Lines(body.model, shape))
    return JSONResponse(answer(body.model, shape, await telling.whole(request)))


async def _has_context(edge: Edge, name: str, wanted: int) -> None:
    """Raises Unsupported where the model surely has less. Of one that nobody knows, the question itself tells."""
    choice = (await edge.explore.choices()).get(plain_name(name))
    has = context_of(choice.shown) if choice else None
    if has is not None and has < wanted:
        sentence = f"options.num_ctx: this model has a context of {has} tokens here."
        raise Unsupported("options.num_ctx", sentence)
