"""Structured logs of a process: one JSON object a line, or readable lines on a terminal. Written to standard error."""

import logging
import sys
from collections.abc import MutableMapping
from typing import Any, TextIO

import orjson
import structlog
from opentelemetry import trace
from structlog.typing import Processor

from infra.process.redaction import redact

_QUIET = {
    "uvicorn.error": logging.WARNING,
    "aiormq": logging.ERROR,
    "aio_pika": logging.CRITICAL,
    "pymongo": logging.WARNING,
    "sse_starlette": logging.WARNING,
}
"""Libraries that tell at `info` what our own events tell better, or at `debug` what people said."""


def configure(service: str, level: str = "info", stream: TextIO | None = None) -> None:
    """Send structlog's, the standard library's and uvicorn's logs through one pipe.

    Each line has timestamp (RFC 3339, UTC), level, event, service, trace_id and span_id where a span is recorded, and what
    was bound by `structlog.contextvars` (request_id, generation_id, chat_id).
    """
    output = stream or sys.stderr
    number = logging.getLevelNamesMapping()[level.upper()]
    before = _before(service)
    structlog.configure(
        processors=[structlog.stdlib.filter_by_level, *before, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=False,  # module-level loggers exist before this runs, and tests configure twice
    )
    handler = logging.StreamHandler(output)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(foreign_pre_chain=before, processors=_rendering(output.isatty()))
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(number)
    for name in ("uvicorn", "uvicorn.error", "uvicorn.access"):
        logging.getLogger(name).handlers.clear()
        logging.getLogger(name).propagate = True
    for name, least in _QUIET.items():
        logging.getLogger(name).setLevel(max(least, number))


def _before(service: str) -> list[Processor]:
    def add_service(_logger: object, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        event["service"] = service
        return event

    return [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        add_service,
        add_trace,
        structlog.stdlib.PositionalArgumentsFormatter(),
    ]


def _rendering(terminal: bool) -> list[Processor]:
    remove = structlog.stdlib.ProcessorFormatter.remove_processors_meta
    if terminal:  # its own tracebacks show local variables, passwords and tokens among them, after the redaction
        render = structlog.dev.ConsoleRenderer(pad_event_to=28, exception_formatter=structlog.dev.plain_traceback)
        return [remove, structlog.processors.format_exc_info, redact, render]
    return [remove, structlog.processors.format_exc_info, redact, _as_json]


def add_trace(_logger: object, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Adds the ids of the span that is open here, as W3C hex."""
    context = trace.get_current_span().get_span_context()
    if context.is_valid:
        event["trace_id"] = trace.format_trace_id(context.trace_id)
        event["span_id"] = trace.format_span_id(context.span_id)
    return event


def _as_json(_logger: object, _method: str, event: MutableMapping[str, Any]) -> str:
    return orjson.dumps(event, default=repr, option=orjson.OPT_NON_STR_KEYS).decode()
