"""Secrets never reach a log."""

import re
from collections.abc import Mapping, MutableMapping
from typing import Any

HIDDEN = "[redacted]"
_NAMES = re.compile(r"(?:^|_)(?:password|passwd|secret|authorization|api_?key|cookie|token)$|set-cookie", re.IGNORECASE)
"""Names whose value is a secret. `tokens` and `output_tokens` are counts and stay."""
_VALUES = (
    (re.compile(r"(?<=://)[^/\s:@]*:[^/\s@]+(?=@)"), HIDDEN),  # amqp://name:password@host
    (re.compile(r"(?i)\bbearer\s+[\w.~+/=-]+"), f"Bearer {HIDDEN}"),
    (re.compile(r"\beyJ[\w-]+\.[\w-]+\.[\w-]*"), HIDDEN),  # a JSON web token
    (re.compile(r"(?:(?<![A-Za-z0-9])|(?<=\\[nrt]))on_[\w-]{32,}"), HIDDEN),  # an API key
    (re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|$)", re.DOTALL), HIDDEN),
)


def redact(_logger: object, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """A structlog processor: hides values by their name, and secrets inside any text, at any depth."""
    for name, value in event.items():
        event[name] = _clean(name, value)
    return event


def without_secrets(text: str) -> str:
    """The text with passwords in URLs, bearer tokens, API keys and private keys hidden."""
    for pattern, instead in _VALUES:
        text = pattern.sub(instead, text)
    return text


def _clean(name: str, value: object) -> object:
    if isinstance(value, str | bytes | None) and _NAMES.search(name):
        return HIDDEN if value else value
    if isinstance(value, str):
        return without_secrets(value)
    if isinstance(value, Mapping):
        return {key: _clean(str(key), inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_clean("", inner) for inner in value]
    return value
