"""What a scripted platform says."""

import json
from dataclasses import dataclass


@dataclass(frozen=True)
class Asked:
    call: str
    body: dict[str, object] | None
    headers: dict[str, str]


@dataclass(frozen=True)
class Answer:
    """`events`: SSE instead of a JSON body; `missing`: bytes promised and never sent, the connection is cut instead."""

    status: int = 200
    body: object = None
    events: tuple[tuple[str | None, str, dict[str, object]], ...] = ()
    missing: int = 0

    def content(self) -> bytes:
        if not self.events:
            return b"" if self.body is None else json.dumps(self.body).encode()
        return b"".join(_frame(*one) for one in self.events)


def _frame(event_id: str | None, name: str, data: dict[str, object]) -> bytes:
    identity = f"id: {event_id}\n" if event_id else ""
    return f": alive\n\n{identity}event: {name}\ndata: {json.dumps(data)}\n\n".encode()


def tokens(number: int = 1, expires_in: int = 900) -> Answer:
    """A login's answer."""
    body = {
        "access_token": f"access-{number}", "token_type": "bearer", "expires_in": expires_in,
        "refresh_token": f"refresh-{number}", "user": {"email": "a@example.org"},
    }  # fmt: skip
    return Answer(200, body)


ACCEPTED = (
    "1-0",
    "accepted",
    {"generation_id": "g1", "chat_id": "c1", "message_id": "m1", "reply_id": "r1", "model": "small"},
)
STARTED = ("1-1", "started", {"attempt": 1, "model": "small", "backend": "b"})
COMPLETED = (
    "1-9",
    "completed",
    {"finish_reason": "stop", "usage": {"output_tokens": 2}, "timings": {"ttft_ms": 5, "tokens_per_second": 50}},
)


def token(number: int, text: str) -> tuple[str, str, dict[str, object]]:
    return (f"1-{number}", "token", {"text": text})
