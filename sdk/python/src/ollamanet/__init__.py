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
from ollamanet._shapes import (
    ApiKey,
    Chat,
    Generation,
    Message,
    Model,
    MoreOfAQuestion,
    Options,
    SecretApiKey,
    User,
    WholeChat,
)
from ollamanet._sync import OllamaNet, Reply

__all__ = [
    "Accepted", "Answer", "ApiKey", "AsyncOllamaNet", "AsyncReply", "Cancelled", "Chat", "Completed",
    "ConnectionLost", "Event", "Failed", "Generation", "GenerationFailed", "Message", "Model", "MoreOfAQuestion",
    "OllamaNet", "OllamaNetError", "Options", "Patience", "Queued", "Refused", "Reply", "Restarted", "SecretApiKey",
    "Started", "Thinking", "Timings", "Token", "ToolCall", "Usage", "User", "WholeChat",
]  # fmt: skip
