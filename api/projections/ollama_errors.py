"""Ollama's error body."""

from collections.abc import Mapping
from typing import Any

from api.errors import Problem

STATUSES = {"invalid": 400, "context_too_long": 400}
"""Ollama knows no 422."""


def ollama_error(problem: Problem) -> tuple[int, Mapping[str, Any], Mapping[str, str]]:
    """Status, body, and no headers of its own."""
    return STATUSES.get(problem.code, problem.status), ollama_error_body(problem), {}


def ollama_error_body(problem: Problem) -> dict[str, Any]:
    """`{"error": "…"}`; of a body that is wrong, with the first mistake."""
    if problem.mistake is not None:
        pointer, detail = problem.mistake
        return {"error": f"{problem.detail} {pointer}: {detail}."}
    if problem.code == "unknown_model" and "model" in problem.extra:
        return {"error": f'model "{problem.extra["model"]}" not found, try pulling it first'}
    return {"error": problem.detail}
