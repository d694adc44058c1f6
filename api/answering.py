"""Errors as they are answered: those of every layer and every route, in the format of whoever's path was called."""

from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Any

import orjson
import structlog
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException

from api.errors import BY_STATUS, Problem, invalid, problem_of, request_id
from api.projections.ollama_errors import ollama_error
from api.projections.openai_errors import openai_error
from contracts.errors import OllamaNetError

log = structlog.get_logger()

PROBLEM = "application/problem+json"
JSON = "application/json"


def native_error(problem: Problem) -> tuple[int, Mapping[str, Any], Mapping[str, str]]:
    """RFC 9457: status, body, and no headers of its own."""
    body = {
        "type": f"urn:ollamanet:problem:{problem.code}",
        "title": HTTPStatus(problem.status).phrase,
        "status": problem.status,
        "detail": problem.detail,
        "code": problem.code,
        "request_id": request_id(),
        **problem.extra,
    }
    return problem.status, body, {}


Format = Callable[[Problem], tuple[int, Mapping[str, Any], Mapping[str, str]]]
FORMATS: dict[str, tuple[str, Format]] = {"v1": (JSON, openai_error), "ollama": (JSON, ollama_error)}
"""By the first part of the path; everything else is native."""


def answer(problem: Problem, path: str) -> Response:
    """The answer that tells this problem to a caller of this path."""
    media_type, formatted = FORMATS.get(path.split("/")[1] if "/" in path else "", (PROBLEM, native_error))
    status, body, headers = formatted(problem)
    return Response(orjson.dumps(body), status, {**problem.headers(), **headers}, media_type)


def add_handlers(app: FastAPI) -> None:
    """Every error of every route becomes an answer."""

    async def ours(request: Request, error: Exception) -> Response:
        assert isinstance(error, OllamaNetError)
        problem = problem_of(error)
        if problem.status >= 500:
            log.warning("request_failed", code=problem.code, why=str(error))
        return answer(problem, request.url.path)

    async def schema(request: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)
        return answer(invalid(error), request.url.path)

    async def http(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        code = BY_STATUS.get(error.status_code, HTTPStatus(error.status_code).phrase.lower().replace(" ", "_"))
        response = answer(Problem(error.status_code, code, str(error.detail)), request.url.path)
        response.headers.update(error.headers or {})
        return response

    app.add_exception_handler(OllamaNetError, ours)
    app.add_exception_handler(RequestValidationError, schema)
    app.add_exception_handler(HTTPException, http)
