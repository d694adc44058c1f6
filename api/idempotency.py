"""`Idempotency-Key`: how a request says that it is the same one again, and what makes it the same."""

import hashlib
import json
from typing import Annotated

from fastapi import Header

from contracts.ports.streams import IdempotencyKey

KeyHeader = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        min_length=1,
        max_length=255,
        pattern=r"^[!-~]+$",
        description="Any visible ASCII of the caller's own. For 24 hours the same key with the same request gives the same result, "
        "and nothing runs twice.",
    ),
]


def key_of(value: str | None, request: object, *, of: str | None = None) -> IdempotencyKey | None:
    """The key of a request, None where it has none. `request`: all that makes it what it is, as JSON values; the order of names is free.

    `of`: the API key that sent it, whose Idempotency-Keys never meet those of its person or of another program.
    """
    if value is None:
        return None
    canonical = json.dumps(request, sort_keys=True, separators=(",", ":"))
    return IdempotencyKey(f"{of} {value}" if of else value, hashlib.sha256(canonical.encode()).hexdigest())
