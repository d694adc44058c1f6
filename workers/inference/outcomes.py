"""What a run has produced so far, and the outcome that it becomes."""

import time
from dataclasses import dataclass, field
from datetime import UTC, datetime

from contracts.commands import Question
from contracts.errors import BackendFailed
from contracts.events import Outcome, ReplyCancelled, ReplyCompleted, ReplyFailed
from contracts.generation import Timings, ToolCallData, Usage
from contracts.ports.backend import Done
from contracts.ports.streams import Snapshot

Ending = Done | BackendFailed | None
"""How a run ended: well, with an error, or cancelled."""


@dataclass
class Produced:
    """The reply as far as it came, and when. Durations count from the edge's acceptance, by the wall clock of both."""

    question: Question
    attempt: int
    backend: str | None = None
    text: list[str] = field(default_factory=list[str])
    thinking: list[str] = field(default_factory=list[str])
    tool_calls: list[ToolCallData] = field(default_factory=list[ToolCallData])
    tokens: int = 0
    size: int = 0
    """Bytes of text, thinking and calls as the log counts them."""
    queue_ms: int = 0
    first_at: float | None = None
    """`time.monotonic` of the first token."""
    _ttft_ms: int = 0

    def __post_init__(self) -> None:
        self.queue_ms = self._since_asked()

    def _since_asked(self) -> int:
        return max(0, round((datetime.now(UTC) - self.question.asked_at).total_seconds() * 1000))

    @property
    def empty(self) -> bool:
        """Whether followers have seen nothing of it."""
        return self.first_at is None

    def begun(self) -> None:
        """Something came."""
        if self.first_at is None:
            self.first_at, self._ttft_ms = time.monotonic(), self._since_asked()

    def void(self) -> None:
        """Everything shown is void: the reply begins again."""
        self.text, self.thinking, self.tool_calls = [], [], []
        self.tokens, self.size, self.first_at = 0, 0, None

    def take_over(self, shown: Snapshot) -> None:
        """An earlier attempt's text stands, for this one never wrote any."""
        self.text, self.thinking, self.tool_calls = [shown.text], [shown.thinking], list(shown.tool_calls)
        self.backend = shown.backend

    def outcome(self, ending: Ending) -> Outcome:
        """The outcome of a run that ended like this."""
        usage = ending.usage if isinstance(ending, Done) else Usage(output_tokens=self.tokens)
        shared = {
            "question": self.question, "text": "".join(self.text), "thinking": "".join(self.thinking),
            "tool_calls": tuple(self.tool_calls), "usage": usage, "attempt": self.attempt, "backend": self.backend,
            "timings": self._timings(usage, ending.load_ms if isinstance(ending, Done) else 0),
            "ended_at": datetime.now(UTC),
        }  # fmt: skip
        match ending:
            case Done():
                return ReplyCompleted.model_validate({**shared, "finish_reason": ending.finish_reason})
            case BackendFailed():
                why = {"code": ending.code, "message": str(ending), "retryable": ending.retryable}
                return ReplyFailed.model_validate({**shared, **why})
            case None:
                return ReplyCancelled.model_validate(shared)

    def _timings(self, usage: Usage, load_ms: int) -> Timings:
        took = 0.0 if self.first_at is None else time.monotonic() - self.first_at
        rate = usage.output_tokens / took if took > 0 else 0.0
        return Timings(
            queue_ms=self.queue_ms,
            load_ms=load_ms,
            ttft_ms=self._ttft_ms,
            total_ms=self._since_asked(),
            tokens_per_second=round(rate, 2),
        )


def failed(question: Question, code: str, message: str, *, retryable: bool, attempt: int = 0) -> ReplyFailed:
    """The outcome of a question that no worker could run."""
    return ReplyFailed(
        question=question,
        code=code,
        message=message,
        retryable=retryable,
        attempt=attempt,
        ended_at=datetime.now(UTC),
    )
