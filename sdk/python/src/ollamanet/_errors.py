"""Whatever this client raises.

OllamaNetError
├── Refused             the platform refused: `status`, `code`, `request_id`, `retry_after` (seconds)
├── ConnectionLost      the platform could not be reached, however often it was tried
└── GenerationFailed    the generation ended without an answer: `code`, `retryable`, `partial_text`
"""

from collections.abc import Mapping
from typing import Any


class OllamaNetError(Exception):
    """The base of the others."""


class Refused(OllamaNetError):
    """The platform answered with a problem (RFC 9457). Compare `code`, for example `unknown_model` or `reply_in_progress`."""

    def __init__(self, status: int, problem: Mapping[str, Any], retry_after: float | None = None) -> None:
        super().__init__(problem.get("detail") or problem.get("title") or f"The platform answered {status}.")
        self.status = status
        self.problem = problem
        self.code: str = problem.get("code") or "unknown"
        self.request_id: str | None = problem.get("request_id")
        self.retry_after = retry_after


class ConnectionLost(OllamaNetError):
    """Nobody answered, or the connection broke again and again; the cause is the last trouble."""


class GenerationFailed(OllamaNetError):
    """The stream ended with `failed`, or with `cancelled` where an answer was awaited."""

    def __init__(self, code: str, message: str, *, retryable: bool, partial_text: str) -> None:
        super().__init__(message)
        self.code = code
        self.retryable = retryable
        self.partial_text = partial_text
