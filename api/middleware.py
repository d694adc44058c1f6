"""Around every request, as pure ASGI: its id, its span, its figures, the headers of every answer, and a bounded body."""

import asyncio
import re
import time
from collections.abc import Mapping
from urllib.parse import quote

import structlog
from opentelemetry import propagate, trace
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from structlog.contextvars import bound_contextvars

from api import metrics
from api.answering import answer
from api.errors import LARGEST_BODY, MalformedBody, Problem, problem_of
from contracts.ids import new_id
from contracts.images import LARGEST_IMAGE

log = structlog.get_logger()
tracer = trace.get_tracer("ollamanet.edge")

LARGEST_WITH_IMAGES = 12 * LARGEST_BODY
"""Of other APIs' questions: their images stand in them, a third longer than they are."""
BODY_TIMEOUT = 30.0
"""Seconds that a client may take to send a body."""
_REQUEST_ID = re.compile(r"[A-Za-z0-9_.:-]{1,128}")
_METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
"""Those that figures are kept of; anything else a client makes up is one more."""
LONGEST_PATH = 200
"""Characters of a path in the log."""
_WITH_BODY = ("POST", "PUT", "PATCH")
_IMAGES = "/api/images"
_LARGEST: dict[str, int] = {
    _IMAGES: LARGEST_IMAGE,
    **dict.fromkeys(
        ("/v1/chat/completions", "/v1/responses", "/ollama/api/chat", "/ollama/api/generate"), LARGEST_WITH_IMAGES
    ),
}
"""Bytes of a body by its path; LARGEST_BODY everywhere else."""
_ANY_TYPE = "/ollama/"
"""Below this path a body is JSON whatever its type says: Ollama never looks, and its own examples for curl say nothing."""
PAGE_CSP = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "form-action 'none'; base-uri 'none'; frame-ancestors 'none'"
)


class RequestContext:
    """Gives the request an id, a span and its figures, and the answer its headers; an error that nobody foresaw is a 500 here."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self._app(scope, receive, send)
        headers = Headers(scope=scope)
        asked = headers.get("x-request-id", "")
        own_id = asked if _REQUEST_ID.fullmatch(asked) else new_id()
        told = _Answer(scope, send, own_id)
        parent = propagate.extract({"traceparent": headers.get("traceparent", "")})
        with (
            bound_contextvars(request_id=own_id),
            tracer.start_as_current_span("request", context=parent, kind=trace.SpanKind.SERVER) as span,
        ):
            try:
                await self._app(scope, receive, told.send)
            except Exception as error:
                log.error("request_crashed", path=_path(scope), exc_info=error)
                if told.status:
                    raise
                problem = Problem(500, "internal", "Something went wrong here; the request id helps to find out what.")
                await answer(problem, scope["path"])(scope, receive, told.send)
            finally:
                told.note(span)


class _Answer:
    """Watches one answer go out."""

    def __init__(self, scope: Scope, send: Send, request_id: str) -> None:
        self._scope = scope
        self._send = send
        self._request_id = request_id
        self._began = time.perf_counter()
        self.status = 0

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            self._add_headers(MutableHeaders(scope=message))
            seconds = time.perf_counter() - self._began
            method = self._scope["method"] if self._scope["method"] in _METHODS else "other"
            metrics.REQUESTS.labels(method, self._route(), self.status).observe(seconds)
        await self._send(message)

    def _add_headers(self, headers: MutableHeaders) -> None:
        headers["X-Request-Id"] = self._request_id
        headers["X-Content-Type-Options"] = "nosniff"
        headers["Referrer-Policy"] = "no-referrer"
        own = headers.get("cache-control", "").startswith("private,")  # what never changes under its name
        if self._scope["path"].startswith(("/api/", "/v1/", "/ollama/")) and not own:
            headers["Cache-Control"] = "no-store, no-transform"  # some proxies hold a stream back to compress it
        if headers.get("content-type", "").startswith("text/html"):
            headers.setdefault("Content-Security-Policy", PAGE_CSP)
        if self._scope.get("scheme") == "https":
            headers["Strict-Transport-Security"] = "max-age=31536000"
        state: Mapping[str, Mapping[str, str]] = self._scope.get("state", {})
        headers.update(state.get("limit_headers", {}))

    def _route(self) -> str:
        route = self._scope.get("route")
        return getattr(route, "path", "none")

    def note(self, span: trace.Span) -> None:
        """The request's one line, and its span's name."""
        span.update_name(f"{self._scope['method']} {self._route()}")
        span.set_attribute("http.response.status_code", self.status)
        took = round((time.perf_counter() - self._began) * 1000, 1)
        tell = log.debug if self._scope["path"] in ("/livez", "/readyz") else log.info
        tell("request", method=self._scope["method"], path=_path(self._scope), status=self.status, took_ms=took)


class BoundedBody:
    """Reads a body, JSON of at most 1 MiB but for `_LARGEST`, before anything else sees it; everything else is refused."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] not in _WITH_BODY:
            await self._app(scope, receive, send)
            return
        if scope["path"].startswith(_ANY_TYPE):
            MutableHeaders(scope=scope)["Content-Type"] = "application/json"
        try:
            async with asyncio.timeout(BODY_TIMEOUT):
                body = await _read(scope["path"], Headers(scope=scope), receive)
        except TimeoutError:
            problem = Problem(408, "body_timeout", f"The body did not arrive within {BODY_TIMEOUT:g} s.")
            await answer(problem, scope["path"])(scope, receive, send)
        except MalformedBody as error:
            await answer(problem_of(error), scope["path"])(scope, receive, send)
        else:
            if body is not None:  # else the client is gone
                await self._app(scope, _Replayed(body, receive), send)


class _Replayed:
    """The body that was read, then whatever comes after it."""

    def __init__(self, body: bytes, receive: Receive) -> None:
        self._body: bytes | None = body
        self._receive = receive

    async def __call__(self) -> Message:
        if self._body is None:
            return await self._receive()
        body, self._body = self._body, None
        return {"type": "http.request", "body": body, "more_body": False}


async def _read(path: str, headers: Headers, receive: Receive) -> bytes | None:
    largest = _LARGEST.get(path, LARGEST_BODY)
    announced = headers.get("content-length", "")
    if announced.isdecimal() and (len(announced) > 15 or int(announced) > largest):
        raise _too_large(largest)
    parts: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] != "http.request":
            return None
        parts.append(message.get("body", b""))
        size += len(parts[-1])
        if size > largest:
            raise _too_large(largest)
        if not message.get("more_body"):
            break
    if size:
        _refuse_other(path, headers.get("content-type", ""))
    return b"".join(parts)


def _refuse_other(path: str, content_type: str) -> None:
    if path == _IMAGES:
        if not content_type.lower().startswith("image/"):
            raise MalformedBody(415, "unsupported_media_type", "Send an image, with `Content-Type: image/…`.")
    elif not _is_json(content_type):
        raise MalformedBody(415, "unsupported_media_type", "Send JSON, with `Content-Type: application/json`.")


def _path(scope: Scope) -> str:
    """The path as it was sent: percent-encoded, so that it stays one line."""
    return quote(scope["path"][:LONGEST_PATH], safe="/:@!$&'()*+,;=~", errors="replace")


def _is_json(content_type: str) -> bool:
    kind = content_type.partition(";")[0].strip().lower()
    return kind == "application/json" or (kind.startswith("application/") and kind.endswith("+json"))


def _too_large(largest: int) -> MalformedBody:
    return MalformedBody(413, "body_too_large", f"A body may have at most {largest} bytes here.")
