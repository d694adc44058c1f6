"""What both clients share and neither waits for: paths, bodies, headers, and what an answer means."""

import json
from typing import Any
from urllib.parse import quote
from uuid import uuid4

import httpx

from ollamanet._errors import GenerationFailed, OllamaNetError, Refused
from ollamanet._events import (
    Accepted,
    Answer,
    Cancelled,
    Completed,
    Event,
    Failed,
    Restarted,
    Thinking,
    Token,
    event_of,
)
from ollamanet._patience import retry_after
from ollamanet._sse import Frame

STREAM = "text/event-stream"
TIMEOUT = httpx.Timeout(30.0, connect=10.0)
STREAM_TIMEOUT = httpx.Timeout(45.0, connect=10.0)
"""A living stream says something at least every 15 seconds."""


def path(*parts: str) -> str:
    """A path of the platform; each part escaped."""
    return "/api/" + "/".join(quote(part, safe="") for part in parts)


def given(**body: Any) -> dict[str, Any]:
    """A body without what was left out."""
    return {name: value for name, value in body.items() if value is not None}


def key_header(key: str | None) -> dict[str, str]:
    """The header that makes asking twice harmless."""
    return {"Idempotency-Key": key or str(uuid4())}


def refused(response: httpx.Response) -> Refused:
    """The problem of an answer that was read; also of one that something in between wrote."""
    try:
        problem = json.loads(response.content)
    except ValueError:
        problem = None
    if not isinstance(problem, dict):
        problem = {"title": response.reason_phrase}
    return Refused(response.status_code, problem, retry_after(response.headers))


def json_of(response: httpx.Response) -> Any:
    """What an answer that was read says; None for an empty one. Raises OllamaNetError where it is not JSON."""
    if not response.content:
        return None
    try:
        return json.loads(response.content)
    except ValueError as error:
        raise OllamaNetError("What answered is not OllamaNet: it sent no JSON.") from error


class Progress:
    """How far a reply has come: what it takes to resume, and its text."""

    def __init__(self, generation_id: str | None = None, last_event_id: str | None = None) -> None:
        self.generation_id = generation_id
        self.chat_id: str | None = None
        self.last_event_id = last_event_id
        self.text = self.thinking = ""
        self.end: Completed | Cancelled | Failed | None = None

    def note(self, frame: Frame) -> Event | None:
        """The frame's event, noted. Raises ValueError for one that is none: the stream was damaged on its way."""
        try:
            event = event_of(frame.event, json.loads(frame.data), frame.id)
        except (AttributeError, KeyError, TypeError) as error:
            raise ValueError(f"The stream sent a damaged {frame.event!r}.") from error
        self.last_event_id = frame.id or self.last_event_id
        match event:
            case Accepted():
                self.generation_id, self.chat_id = event.generation_id, event.chat_id
            case Token():
                self.text += event.text
            case Thinking():
                self.thinking += event.text
            case Restarted():
                self.text = self.thinking = ""
            case Completed() | Cancelled() | Failed():
                self.end = event
            case _:
                pass
        return event

    def headers(self) -> dict[str, str]:
        """Of the call that resumes."""
        return {"Accept": STREAM, **({"Last-Event-ID": self.last_event_id} if self.last_event_id else {})}

    def answer(self) -> Answer:
        """The whole reply; GenerationFailed when there is none."""
        match self.end:
            case Completed():
                return Answer(self.text, self.thinking, self.end.finish_reason, self.end.usage)
            case Failed():
                code, message, retryable = self.end.code, self.end.message, self.end.retryable
                raise GenerationFailed(code, message, retryable=retryable, partial_text=self.text)
            case _:
                raise GenerationFailed("cancelled", "The reply was cancelled.", retryable=True, partial_text=self.text)
