"""The OpenAPI document: what FastAPI writes, with the streams' events and the errors as they really are."""

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic import BaseModel
from sse_starlette import EventSourceResponse

from api.answering import JSON, PROBLEM
from api.schemas import events
from api.schemas.ollama_answers import OllamaError
from api.schemas.openai_answers import OpenAIError
from api.schemas.problems import ProblemDetails

DESCRIPTION = """Ask language models, and never lose an answer.

Log in (`POST /api/auth/login`), or send an API key (`POST /api/auth/keys`), then ask with `POST /api/chats/stream`: the reply comes as
server-sent events. Hanging up is not a cancel; `GET /api/generations/{id}/stream` resumes with `Last-Event-ID`. Send an
`Idempotency-Key` of your own with every question that you may have to send again: the repeat gets the same reply, and nothing
runs twice. Errors are RFC 9457 problems; programs compare `code`.
"""
_STATUSES = {
    "400": "Not JSON, or a cursor of another list.",
    "401": "No valid access token or API key.",
    "403": "The account is suspended, or the caller may not do this: the role or the key's scope is missing.",
    "404": "There is no such thing, or it is somebody else's.",
    "409": "The state of things forbids it.",
    "410": "The answer was cancelled while this call waited for it, or the model was retired: `model_retired`.",
    "413": "Too large: `body_too_large`, `content_too_large` or `context_too_long`; "
    "of images `image_too_large`, `too_many_images` or `no_room_for_images`.",
    "415": "The body is not JSON; or, where one is sent, no image that is read here (`unsupported_image`).",
    "422": "The request does not fit its schema; `errors` says where. Or `idempotency_mismatch`: the key came with another request.",
    "429": "Too fast, or `too_many_generations` at once; `Retry-After` says when the next call is welcome.",
    "502": "The model's server failed, more often than it is asked again.",
    "503": "Something that is needed does not answer now; `Retry-After` says when to try again.",
    "504": "The model, or the worker that looks at back-ends, did not answer in time.",
}
_NATIVE: tuple[str, type[BaseModel]] = (PROBLEM, ProblemDetails)
_ERRORS: dict[str, tuple[str, type[BaseModel]]] = {"v1": (JSON, OpenAIError), "ollama": (JSON, OllamaError)}
"""As `api.answering` answers them, by the first part of the path."""
_WITH_BODY = {"400", "413", "415", "422"}


class EventStream(EventSourceResponse):
    """Marks a route whose answer is a generation's stream."""

    media_type = "text/event-stream"


def document(app: FastAPI) -> dict[str, Any]:
    """The document, made once."""
    if not app.openapi_schema:
        made = get_openapi(
            title="OllamaNet", version=app.version, description=DESCRIPTION, routes=app.routes, tags=app.openapi_tags
        )
        schemas: dict[str, Any] = made["components"]["schemas"]
        for unused in ("HTTPValidationError", "ValidationError"):
            schemas.pop(unused, None)
        schemas |= events.components()
        for _, kind in (_NATIVE, *_ERRORS.values()):
            error = kind.model_json_schema(ref_template="#/components/schemas/{model}")
            schemas |= error.pop("$defs", {}) | {kind.__name__: error}
        for path, operations in made["paths"].items():
            for operation in operations.values():
                _mend(path, operation)
        app.openapi_schema = made
    return app.openapi_schema


def _mend(path: str, operation: dict[str, Any]) -> None:
    answers: dict[str, Any] = operation["responses"]
    answers.pop("422", None)
    media_type, error = _ERRORS.get(path.split("/")[1], _NATIVE)
    stream = answers.get("200", {}).get("content", {})
    if "text/event-stream" in stream and error is ProblemDetails:
        generations, commands = events.streams()
        answers["200"] = events.answer(commands if "/commands/" in path else generations)
    for status in sorted(_statuses(operation)):
        content = {media_type: {"schema": {"$ref": f"#/components/schemas/{error.__name__}"}}}
        answers[status] = {"description": _STATUSES[status], "content": content}


def refuses(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Errors of a route besides those that its parameters, its body and its caller bring along; for `responses=`."""
    return {one: {"description": _STATUSES[str(one)]} for one in statuses}


def _statuses(operation: dict[str, Any]) -> set[str]:
    """The errors that this operation can have."""
    wanted = {one for one in operation["responses"] if one >= "400"} | {"503"}
    if "security" in operation:
        wanted |= {"401", "403"}
    if "requestBody" in operation:
        wanted |= _WITH_BODY
    for parameter in operation.get("parameters", ()):
        wanted |= {"422"}
        if parameter["in"] == "path":
            wanted |= {"404"}
        if parameter["name"] == "cursor":
            wanted |= {"400"}
    return wanted
