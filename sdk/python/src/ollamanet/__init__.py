"""A typed client of OllamaNet: `OllamaNet` and, for asyncio, `AsyncOllamaNet`."""

from ollamanet._async import AsyncOllamaNet, AsyncReply
from ollamanet._errors import ConnectionLost, GenerationFailed, OllamaNetError, Refused
from ollamanet._events import (
    Accepted,
    Answer,
    Cancelled,
    Completed,
    Event,
    Failed,
    Queued,
    Restarted,
    Started,
    Thinking,
    Timings,
    Token,
    ToolCall,
    Usage,
)
from ollamanet._patience import Patience
from ollamanet._sync import OllamaNet, Reply

__all__ = [
    "Accepted", "Answer", "AsyncOllamaNet", "AsyncReply", "Cancelled", "Completed", "ConnectionLost", "Event", "Failed",
    "GenerationFailed", "OllamaNet", "OllamaNetError", "Patience", "Queued", "Refused", "Reply", "Restarted", "Started",
    "Thinking", "Timings", "Token", "ToolCall", "Usage",
]  # fmt: skip
