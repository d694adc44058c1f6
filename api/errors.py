"""What goes wrong at the edge, and the one table that turns it into HTTP (RFC 9457, `application/problem+json`)."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

from fastapi.exceptions import RequestValidationError
from structlog.contextvars import get_contextvars

from contracts.errors import (
    Conflict,
    ContextTooLong,
    NotFound,
    NotPermitted,
    OllamaNetError,
    Overloaded,
    Permanent,
    RateLimited,
    Transient,
    UnknownModel,
    Unroutable,
)
from contracts.images import MOST_CONTEXT_BYTES

LARGEST_BODY = 1024 * 1024
"""Bytes of a body, without the images that some carry."""
MOST_MISTAKES = 20
"""Mistakes told of one body; it may hold a hundred thousand."""
LONGEST_POINTER = 200
"""Characters."""


class NotLoggedIn(OllamaNetError):
    """No token, or none that is valid now."""

    def __init__(self, message: str = "Log in: this call needs `Authorization: Bearer <access token>`.") -> None:
        super().__init__(message)


class BadCredentials(OllamaNetError):
    """Unknown account or wrong password, which are told apart by nothing."""

    def __init__(self) -> None:
        super().__init__("The e-mail address or the password is wrong.")


class SessionEnded(OllamaNetError):
    """The refresh token is unknown, expired, or of a session that ended."""

    def __init__(self) -> None:
        super().__init__("This session has ended: log in again.")


class AccountSuspended(OllamaNetError):
    """The account may not log in."""

    def __init__(self) -> None:
        super().__init__("This account is suspended.")


class MalformedBody(OllamaNetError):
    """Not JSON, too large, or of another type; `status` and `code` as on the wire."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.code = code


class ModelUnavailable(OllamaNetError):
    """The catalog knows the model and no back-end serves it now."""

    def __init__(self, name: str) -> None:
        super().__init__(f"No back-end serves the model {name!r} right now.")


class ModelRetired(OllamaNetError):
    """An administrator took the model out of use."""

    def __init__(self, name: str) -> None:
        super().__init__(f"The model {_sendable(name)!r} was retired by an administrator: ask another one.")


class CannotChat(OllamaNetError):
    """Every back-end that serves the model says that it does not answer questions."""

    def __init__(self, name: str) -> None:
        super().__init__(f"The model {name!r} only embeds texts: it does not answer questions.")


class ContentTooLarge(OllamaNetError):
    """The question is longer than any model's may be; `limit` in bytes of UTF-8."""

    def __init__(self, limit: int) -> None:
        super().__init__(f"A question may have at most {limit} bytes of UTF-8.")
        self.limit = limit


class CannotSee(OllamaNetError):
    """Every back-end that serves the model says that it reads no images."""

    def __init__(self, name: str) -> None:
        super().__init__(f"The model {name!r} does not read images: ask one that has the capability `vision`.")


class UnreadableImage(OllamaNetError):
    """Bytes that are no image of a kind that is read, whatever they were called."""

    def __init__(self) -> None:
        super().__init__("This is no image that can be read here: send a PNG, JPEG, WebP or GIF.")


class ImageTooLarge(OllamaNetError):
    """An image of more than `limit` bytes or pixels."""

    def __init__(self, limit: int, of: str) -> None:
        super().__init__(f"An image may have at most {limit} {of}.")
        self.limit = limit


class TooManyImages(OllamaNetError):
    """More images than a model may be sent at once; `limit`: how many."""

    def __init__(self, limit: int) -> None:
        super().__init__(f"A model is sent at most {limit} images at once, of {MOST_CONTEXT_BYTES} bytes together.")
        self.limit = limit


class NoRoomForImages(OllamaNetError):
    """The person's images have as many bytes together as they may; `limit`: how many."""

    def __init__(self, limit: int) -> None:
        super().__init__(
            f"Your images may have at most {limit} bytes together: delete chats that show some. Images that no chat shows go after a day."
        )
        self.limit = limit


class TooManyGenerations(RateLimited):
    """The person has as many live generations as one may have; `retry_after_ms`: when one of them probably ends."""

    def __init__(self, limit: int, retry_after_ms: int) -> None:
        super().__init__(retry_after_ms, f"At most {limit} replies are written for one person at once: wait for one.")
        self.limit = limit


class KeyMismatch(OllamaNetError):
    """An Idempotency-Key that came with another request before."""

    def __init__(self) -> None:
        super().__init__("This Idempotency-Key came with another request before: every new request needs a new key.")


class Mistaken(OllamaNetError):
    """A value of the body that fits its schema and is wrong all the same; `pointer`: where it stands."""

    def __init__(self, pointer: str, message: str) -> None:
        super().__init__(message)
        self.pointer = pointer


class NobodyLooked(OllamaNetError):
    """No catalog worker looked at a back-end in time."""

    def __init__(self, seconds: float) -> None:
        super().__init__(f"Nobody looked at it within {seconds:.0f} s: is a catalog worker running?")


class Stopping(Transient):
    """This edge ends; another one takes the question."""

    def __init__(self) -> None:
        super().__init__("This server is being replaced: ask again.")


class BadCursor(OllamaNetError):
    """A cursor that this list did not make."""

    def __init__(self) -> None:
        super().__init__("This cursor was not made by this list: begin without one.")


class Unsupported(OllamaNetError):
    """Something that a caller of another API asks for and that is not to be had here; `param`: where it stands in the body."""

    def __init__(self, param: str, message: str) -> None:
        super().__init__(message)
        self.param = param


class NotAnswered(OllamaNetError):
    """A reply that did not come whole, told with a status, or in the middle of a stream that cannot take back what it said.

    `code` as on the stream. `retryable`: another try may succeed.
    """

    def __init__(self, code: str, message: str, *, retryable: bool) -> None:
        super().__init__(message)
        self.code = code
        self.retryable = retryable


@dataclass(frozen=True)
class Problem:
    """One error as it is answered. `retry_after_ms`: when trying again makes sense."""

    status: int
    code: str
    detail: str
    extra: Mapping[str, Any] = field(default_factory=dict[str, Any])
    retry_after_ms: int | None = None

    @property
    def mistake(self) -> tuple[str, str] | None:
        """The first of a body's mistakes that has a place: its JSON pointer and what is wrong there."""
        return next(((one["pointer"], one["detail"]) for one in self.extra.get("errors", ()) if one["pointer"]), None)

    def headers(self) -> dict[str, str]:
        """What goes with it in every format: when to try again, and how to say who one is."""
        headers: dict[str, str] = {}
        if self.retry_after_ms is not None:
            headers["Retry-After"] = str(max(1, math.ceil(self.retry_after_ms / 1000)))
            headers["retry-after-ms"] = str(self.retry_after_ms)
        if self.status == HTTPStatus.UNAUTHORIZED:
            headers["WWW-Authenticate"] = "Bearer"
        return headers


TABLE: dict[type[OllamaNetError], tuple[int, str]] = {
    NotLoggedIn: (401, "not_logged_in"),
    BadCredentials: (401, "bad_credentials"),
    SessionEnded: (401, "session_ended"),
    AccountSuspended: (403, "account_suspended"),
    NotPermitted: (403, "not_permitted"),
    NotFound: (404, "not_found"),
    UnknownModel: (404, "unknown_model"),
    BadCursor: (400, "bad_cursor"),
    ModelRetired: (410, "model_retired"),
    CannotChat: (400, "model_cannot_chat"),
    CannotSee: (400, "model_cannot_see"),
    ImageTooLarge: (413, "image_too_large"),
    TooManyImages: (413, "too_many_images"),
    NoRoomForImages: (413, "no_room_for_images"),
    UnreadableImage: (415, "unsupported_image"),
    ContentTooLarge: (413, "content_too_large"),
    ContextTooLong: (413, "context_too_long"),
    KeyMismatch: (422, "idempotency_mismatch"),
    NobodyLooked: (504, "no_catalog_worker"),
    RateLimited: (429, "rate_limited"),
    TooManyGenerations: (429, "too_many_generations"),
    ModelUnavailable: (503, "model_unavailable"),
    Overloaded: (503, "overloaded"),
    Unroutable: (503, "no_worker"),
    Stopping: (503, "stopping"),
    Transient: (503, "unavailable"),
    Permanent: (500, "internal"),
}
RETRY_AFTER_MS: dict[type[OllamaNetError], int] = {
    ModelUnavailable: 5000,  # the catalog looks every 5 s
    Overloaded: 5000,  # where nobody can tell
    Unroutable: 10_000,  # a worker has to start first
    Stopping: 1000,
    Transient: 2000,
}
ASK_AGAIN_MS = 1000
"""After a failure that the platform has tried its best against already."""
_FAILURES = {
    "context_too_long": 413, "unknown_model": 404, "expired": 503, "first_token_timeout": 504, "token_timeout": 504,
    "generation_timeout": 504, "embedding_timeout": 504, "model_cannot_embed": 400, "dimensions_unsupported": 400,
    "embeddings_too_large": 413, "quarantined": 500, "internal": 500, "cancelled": 410,
    "image_missing": 404, "option_unsupported": 400,
}  # fmt: skip
"""The status of a reply that failed before anything was answered; of any other failure, 502."""
BY_STATUS = {400: "malformed_json", 404: "not_found", 405: "method_not_allowed", 406: "not_acceptable"}


def problem_of(error: OllamaNetError) -> Problem:
    """What this error means on the wire."""
    if isinstance(error, Conflict):
        return Problem(409, error.code, str(error), error.extra)
    if isinstance(error, MalformedBody):
        return Problem(error.status, error.code, str(error))
    if isinstance(error, Mistaken):
        return _unfit([{"pointer": error.pointer, "detail": _sendable(str(error))}])
    if isinstance(error, Unsupported):
        return Problem(400, "unsupported", str(error), {"param": error.param})
    if isinstance(error, NotAnswered):
        retry = ASK_AGAIN_MS if error.retryable else None
        return Problem(_FAILURES.get(error.code, 502), error.code, str(error), retry_after_ms=retry)
    kind = next((one for one in type(error).__mro__ if one in TABLE), None)
    if kind is None:
        return Problem(500, "internal", "Something went wrong here; the request id helps to find out what.")
    status, code = TABLE[kind]
    limit = getattr(error, "limit", None)
    extra = {"model": _sendable(error.name)} if isinstance(error, UnknownModel) else {}
    told = error.retry_after_ms if isinstance(error, RateLimited | Overloaded) else None
    retry = RETRY_AFTER_MS.get(kind) if told is None else told
    return Problem(status, code, str(error), extra if limit is None else {"limit": limit}, retry)


def invalid(error: RequestValidationError) -> Problem:
    """Against the schema: 422 with a JSON pointer for each mistake; not JSON at all: 400."""
    found = error.errors()
    if any(one.get("type") == "json_invalid" for one in found):
        return Problem(400, "malformed_json", "The body is not valid JSON.")
    told = found[:MOST_MISTAKES]
    errors = [{"pointer": _pointer(one.get("loc", ())), "detail": _sendable(str(one.get("msg")))} for one in told]
    return _unfit(errors)


def _unfit(errors: list[dict[str, str]]) -> Problem:
    return Problem(422, "invalid", "The request does not fit its schema.", {"errors": errors})


def _pointer(location: tuple[str | int, ...]) -> str:
    """`("body", "options", "top_p")` → `/options/top_p`; outside of the body the parameter's name."""
    parts = location[1:] if location and location[0] == "body" else location[-1:]
    return _sendable("".join(f"/{str(part).replace('~', '~0').replace('/', '~1')}" for part in parts))


def _sendable(text: str) -> str:
    """Names in a body may be long, or hold half a surrogate pair, which is in no UTF-8."""
    return text[:LONGEST_POINTER].encode("utf-8", "replace").decode()


def request_id() -> str | None:
    """The id that the middleware gave to the request being answered."""
    return get_contextvars().get("request_id")
