"""The ASGI application of an edge."""

from importlib.metadata import PackageNotFoundError, version

from fastapi import FastAPI
from starlette.middleware.cors import CORSMiddleware

from api.answering import add_handlers
from api.documents import document
from api.edge import Edge
from api.middleware import BoundedBody, RequestContext
from api.routes import (
    administration,
    api_keys,
    audit,
    auth,
    backends,
    chats,
    commands,
    dead_letters,
    embeddings,
    generations,
    health,
    images,
    models,
    ollama,
    openai,
    pages,
    responses,
)

TAGS = [
    {"name": "accounts", "description": "Who is asking."},
    {"name": "chats", "description": "Questions and their replies."},
    {"name": "generations", "description": "One run of a model that produces one reply."},
    {"name": "explore", "description": "The models that people may choose."},
    {"name": "openai", "description": "OpenAI's API: its clients work here with another base URL and key."},
    {
        "name": "ollama",
        "description": "Ollama's own API: its clients work here with another host and a key in a header.",
    },
    {"name": "operation", "description": "What administrators watch and decide."},
]
EXPOSED = ("X-Request-Id", "Retry-After", "retry-after-ms", "RateLimit", "RateLimit-Policy")
"""Headers that scripts of pages elsewhere may read."""


def create_app(edge: Edge) -> FastAPI:
    """Every route over this edge. The edge is opened and closed by the caller, not by the application."""
    app = routed()
    app.state.edge = edge
    pages.add_assets(app)
    add_handlers(app)
    app.add_middleware(BoundedBody)
    if edge.cors_origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=edge.cors_origins,
            allow_methods=["*"],
            allow_headers=["*"],
            expose_headers=EXPOSED,
        )
    app.add_middleware(RequestContext)  # added last: outermost
    return app


def routed() -> FastAPI:
    """Every route with no edge behind it: enough to describe them."""
    app = FastAPI(
        title="OllamaNet",
        version=own_version(),
        openapi_tags=TAGS,
        openapi_url=None,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        generate_unique_id_function=lambda route: route.name,
    )
    app.openapi = lambda: document(app)
    for one in (
        auth,
        api_keys,
        administration,
        commands,
        chats,
        generations,
        images,
        models,
        openai,
        embeddings,
        responses,
        ollama,
        backends,
        dead_letters,
        audit,
        health,
        pages,
    ):
        app.include_router(one.router)
    return app


def own_version() -> str:
    """This platform's version."""
    try:
        return version("ollamanet-platform")
    except PackageNotFoundError:  # run from a folder that was never installed
        return "0"
