"""What a run has produced so far, and the outcome that it becomes."""

import time
from dataclasses import dataclass, field
from datetime import UTC, datetime

from contracts.commands import Question
from contracts.errors import BackendFailed
from contracts.events import Outcome, ReplyCancelled, ReplyCompleted, ReplyFailed
from contracts.generation import Timings, ToolCall, ToolCallData, Usage, encode, encode_text, name_of
from contracts.ports.backend import Done
from contracts.ports.streams import Snapshot
from workers.inference.writer import TextKind

FRAME_BYTES = len(encode_text("token", ""))
"""What the encoding of an event adds to its text: the log counts text as it is encoded."""

Ending = Done | BackendFailed | None
"""How a run ended: well, with an error, or cancelled."""


@dataclass
class Produced:
    """The reply as far as it came, and when. Durations count from the edge's acceptance, by the wall clock of both.

    Tokens as back-ends' pieces counted them: of the text that stands, `carried` of those by earlier attempts that this run goes on
    from, and those that were `voided`.
    """

    question: Question
    attempt: int
    backend: str | None = None
    text: list[str] = field(default_factory=list[str])
    thinking: list[str] = field(default_factory=list[str])
    tool_calls: list[ToolCallData] = field(default_factory=list[ToolCallData])
    tokens: int = 0
    carried: int = 0
    voided: int = 0
    size: int = 0
    """Bytes of text, thinking and calls as the log counts them."""
    queue_ms: int = 0
    first_at: float | None = None
    """`time.monotonic` of this run's own first token."""
    _ttft_ms: int = 0
    _again: bool = False
    """Whether there was more than one attempt."""

    def __post_init__(self) -> None:
        self.queue_ms = self._since_asked()

    def _since_asked(self) -> int:
        return max(0, round((datetime.now(UTC) - self.question.asked_at).total_seconds() * 1000))

    @property
    def empty(self) -> bool:
        """Whether followers see nothing of it."""
        return not (self.text or self.thinking or self.tool_calls)

    def begun(self) -> None:
        """Something came."""
        if self.first_at is None:
            self.first_at, self._ttft_ms = time.monotonic(), self._since_asked()

    def void(self) -> None:
        """Everything shown is void: the reply begins again."""
        self.text, self.thinking, self.tool_calls = [], [], []
        self.voided += self.tokens
        self.tokens, self.carried, self.size, self.first_at = 0, 0, 0, None
        self._again = True

    def carry(self) -> None:
        """Everything shown stands: the reply goes on from it."""
        self.carried = self.tokens
        self._again = True

    def take_over(self, shown: Snapshot) -> None:
        """What earlier attempts have shown: it stands until it is void."""
        self.text = [shown.text] if shown.text else []
        self.thinking = [shown.thinking] if shown.thinking else []
        self.tool_calls, self.backend = list(shown.tool_calls), shown.backend
        self.tokens, self.voided = _tokens_of(shown)
        self.size = size_of("token", shown.text) + size_of("thinking", shown.thinking)
        self.size += sum(size_of_call(one) for one in self.tool_calls)
        self.carry()

    def outcome(self, ending: Ending) -> Outcome:
        """The outcome of a run that ended like this."""
        usage = self._usage(ending)
        shared = {
            "question": self.question, "text": "".join(self.text), "thinking": "".join(self.thinking),
            "tool_calls": tuple(self.tool_calls), "usage": usage, "attempt": self.attempt, "backend": self.backend,
            "timings": self._timings(ending),
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

    def _usage(self, ending: Ending) -> Usage:
        """The last back-end counts its own call alone, what it was given to go on from as input."""
        own = ending.usage if isinstance(ending, Done) else Usage(output_tokens=self.tokens - self.carried)
        output = self.carried + own.output_tokens
        return Usage(
            input_tokens=max(0, own.input_tokens - self.carried),
            output_tokens=output,
            spent_output_tokens=self.voided + output if self._again else None,
        )

    def _timings(self, ending: Ending) -> Timings:
        """The rate of this run's own tokens, in the same way for every kind of back-end."""
        done = ending if isinstance(ending, Done) else Done("", Usage(output_tokens=self.tokens - self.carried))
        took = 0.0 if self.first_at is None else time.monotonic() - self.first_at
        return Timings(
            queue_ms=self.queue_ms,
            load_ms=done.load_ms,
            ttft_ms=self._ttft_ms,
            total_ms=self._since_asked(),
            tokens_per_second=round(done.rate(took), 2),
        )


def size_of(kind: TextKind, text: str) -> int:
    """Bytes of a text as the log counts them."""
    return len(encode_text(kind, text)) - FRAME_BYTES


def size_of_call(call: ToolCallData) -> int:
    """Bytes of a tool's call as it is encoded."""
    return len(encode(ToolCall.model_validate(call.model_dump())))


def _tokens_of(shown: Snapshot) -> tuple[int, int]:
    """Of the text that stands, and of what is void."""
    standing, void = 0, 0
    for event in shown.events:
        if name_of(event.encoded) == "restarted":
            standing, void = 0, void + standing
        standing += event.tokens
    return standing, void


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
