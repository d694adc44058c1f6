"""Texts as vectors, for programs that speak OpenAI's or Ollama's API."""

import time

from fastapi import APIRouter, Request, Response
from fastapi.responses import StreamingResponse

from api.dependencies import Caller, MayChat, OwnEdge
from api.documents import refuses
from api.edge import Edge
from api.embedding import Texts
from api.errors import Unsupported
from api.explore import context_length_of, plain_name
from api.holding import held
from api.projections.embeddings import ollama_vectors, openai_vectors
from api.schemas.embeddings import EmbeddingsAnswer, EmbeddingsBody, OllamaEmbedAnswer, OllamaEmbedBody
from contracts.embeddings import Vectors
from contracts.records import Model

router = APIRouter()
JSON = "application/json"


@router.post(
    "/v1/embeddings",
    tags=["openai"],
    response_model=EmbeddingsAnswer,
    responses=refuses(404, 429, 502, 504),
)
async def embed_as_openai(body: EmbeddingsBody, request: Request, caller: MayChat, edge: OwnEdge) -> Response:
    """Turn texts into vectors, as OpenAI's embeddings do; at most 2,048, within a minute.

    Text that is too long for the model, and a model that cannot embed, are 400. Token arrays cannot be read here.
    """
    model, vectors = await _embedded(edge, request, caller, body.texts())
    written = openai_vectors(model.name, vectors, base64=body.encoding_format == "base64")
    return StreamingResponse(written, media_type=JSON)


@router.post(
    "/ollama/api/embed",
    tags=["ollama"],
    response_model=OllamaEmbedAnswer,
    responses=refuses(404, 410, 429, 502, 504),
)
async def embed_as_ollama(body: OllamaEmbedBody, request: Request, caller: MayChat, edge: OwnEdge) -> Response:
    """Turn texts into vectors, as Ollama's embed does; at most 2,048, within a minute. Without a text there are none."""
    texts, began = body.texts(), time.monotonic()
    if texts is None:
        await edge.explore.available(body.model)
        return StreamingResponse(ollama_vectors(body.model, None, 0.0), media_type=JSON)
    if body.context_wanted:
        await _has_context(edge, body.model, body.context_wanted)
    _, vectors = await _embedded(edge, request, caller, texts)
    return StreamingResponse(ollama_vectors(body.model, vectors, time.monotonic() - began), media_type=JSON)


async def _embedded(edge: Edge, request: Request, caller: Caller, texts: Texts) -> tuple[Model, Vectors]:
    """Raises as `Embedding.embed`; given up when the client hangs up."""
    work = edge.embedding.embed(caller.account_id, texts, allow=lambda: edge.allowances.ask(request, caller.account_id))
    return await held(edge.streams, caller.credential_id, request, work)


async def _has_context(edge: Edge, name: str, wanted: int) -> None:
    """Raises Unsupported where the model surely has less."""
    choice = (await edge.explore.choices()).get(plain_name(name))
    has = context_length_of(choice.shown) if choice else None
    if has is not None and has < wanted:
        raise Unsupported("options.num_ctx", f"options.num_ctx: this model has a context of {has} tokens here.")
