"""OpenAI's error body, for answers and for the middle of a stream."""

import re
from collections.abc import Mapping
from typing import Any

from api.errors import Problem

STATUSES = {"invalid": 400, "context_too_long": 400, "model_retired": 404}
"""Where OpenAI's clients expect another status than ours: they tell a `BadRequestError` by it."""
CODES = {
    "not_logged_in": "invalid_api_key",
    "unknown_model": "model_not_found",
    "model_retired": "model_not_found",
    "context_too_long": "context_length_exceeded",
    "rate_limited": "rate_limit_exceeded",
    "invalid": "invalid_value",
    "unsupported": "unsupported_parameter",
}
TYPES = {401: "authentication_error", 403: "permission_error", 429: "rate_limit_error"}


def openai_error(problem: Problem) -> tuple[int, Mapping[str, Any], Mapping[str, str]]:
    """Status, body and headers. `x-should-retry` is what its clients go by: they would try every 409 and 5xx again."""
    status = STATUSES.get(problem.code, problem.status)
    again = problem.retry_after_ms is not None or problem.status == 408
    return status, openai_error_body(problem), {"x-should-retry": "true" if again else "false"}


def openai_error_body(problem: Problem) -> dict[str, Any]:
    """`{"error": {message, type, param, code}}`."""
    mistake = problem.mistake
    param = _named(mistake[0]) if mistake else problem.extra.get("param")
    told = f"{problem.detail} {param}: {mistake[1]}." if mistake else problem.detail
    kind = TYPES.get(problem.status, "server_error" if problem.status >= 500 else "invalid_request_error")
    return {"error": {"message": told, "type": kind, "param": param, "code": CODES.get(problem.code, problem.code)}}


def _named(pointer: str) -> str:
    """`/messages/0/role` → `messages[0].role`; names that stand behind a union's choice are left as they are."""
    return re.sub(r"\.(\d+)(?=\.|$)", r"[\1]", pointer.removeprefix("/").replace("/", "."))
