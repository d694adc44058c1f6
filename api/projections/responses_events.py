"""A generation as the stream of OpenAI's Responses API, numbered so that any edge tells the same rest after any number.

A `sequence_number` counts the events that this log makes, from its first one, whoever follows and whatever was left out for them.
A log that took the place of a lost one counts on from the second in which it was born, so that its numbers are those of no other.
So the rest after a number is found by reading the log from its start, and what a client holds is never joined to other text:
where the reply began anew behind its back it gets an `error` with the code `restarted`. After that error's own number, or without
one, it gets the new text. When the log has expired, the rest is the event that ends the reply, with all of it inside.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import orjson

from api.errors import NotAnswered, Problem, problem_of
from api.projections.openai import one_line
from api.projections.openai_errors import openai_error_body
from api.projections.responses import function_call, is_whole, message, reasoning, response, response_ended, text_part
from contracts.commands import Question
from contracts.generation import (
    Accepted,
    Cancelled,
    Completed,
    Failed,
    GenerationEvent,
    Queued,
    Restarted,
    Started,
    TerminalEvent,
    Thinking,
    Token,
    ToolCall,
    decode,
)
from contracts.ids import moment_of
from contracts.ports.streams import LogEvent

BITS = 20
"""A log has fewer events: its text ends at 1 MiB. Where it had more, a rest is refused as of another log, and nothing is joined."""
MOST_RUNS = 2**11 - 1
"""Numbers stay below 2^31, which some clients read them into."""
BEFORE_TEXT = 1
"""The number, in its log, of the last event that can come before any text: `response.created`, `response.in_progress`."""
LOST = "The server that wrote this answer was lost and it began anew, which this stream cannot take back."

Kind = Literal["message", "reasoning"]
_IDS: dict[Kind, str] = {"message": "msg", "reasoning": "rs"}
_ENDS = {"completed": "completed", "incomplete": "incomplete", "cancelled": "incomplete", "failed": "failed"}
"""How a stream ends, by the response's status: Node's client throws on `response.cancelled`."""
_TEXTS: dict[Kind, str] = {"message": "response.output_text", "reasoning": "response.reasoning_text"}


@dataclass
class _Open:
    """The item that is being written."""

    kind: Kind
    id: str
    index: int
    pieces: list[str] = field(default_factory=list[str])

    @property
    def place(self) -> dict[str, Any]:
        return {"item_id": self.id, "output_index": self.index, "content_index": 0}

    def part(self, text: str) -> dict[str, Any]:
        return text_part(text) if self.kind == "message" else {"type": "reasoning_text", "text": text}

    def item(self, text: str, status: Literal["in_progress", "completed", "incomplete"]) -> dict[str, Any]:
        return (message if self.kind == "message" else reasoning)(self.id, text, status)


class ResponseEvents:
    """One follower's stream, from the start of its log or after the number `after`. `ended`: nothing follows any more."""

    media_type = "text/event-stream"
    alive = b": alive\n"

    def __init__(self, question: Question, after: int | None = None) -> None:
        self.ended = False
        self._question = question
        self._after = -1 if after is None else after
        self._next = 0
        self._last = max(self._after, 0)
        self._holds_text = after is not None and after % 2**BITS > BEFORE_TEXT
        """Whether the client came with a number behind which there was text."""
        self._began = self._started = False
        self._shown = False
        """Whether the client holds something of the items that stand."""
        self._stored = False
        """Whether this comes from the store, which does not know how the log was numbered."""
        self._items: list[dict[str, Any]] = []
        self._count = Counter[str]()
        self._open: _Open | None = None
        self._pending: list[tuple[bool, dict[str, Any]]] = []

    def tells(self, batch: Sequence[LogEvent]) -> bytes:
        """What this client gets of these events."""
        for one in batch:
            if not self.ended:
                self._event(decode(one.encoded), one.id)
        told, self._pending = self._pending, []
        self._shown = self._shown or any(of_item for of_item, _ in told)
        if told:
            self._last = told[-1][1]["sequence_number"]
        return b"".join(_framed(one) for _, one in told)

    def fails(self, problem: Problem) -> bytes:
        """The end of a stream that may be resumed after the last number it told."""
        self.ended = True
        return _framed(self._error(problem, self._last))

    def _event(self, event: GenerationEvent, event_id: str | None) -> None:
        match event:
            case Accepted():
                self._log(event_id)
                if not self.ended:
                    self._begin()
            case Started():
                self._start()
            case Thinking():
                self._says("reasoning", event.text)
            case Token():
                self._says("message", event.text)
            case ToolCall():
                self._calls(event)
            case Restarted():
                self._restarts(in_log=event_id is not None)
            case Completed() | Cancelled() | Failed():
                self._ends(event)
            case Queued():  # made by this edge: its log does not have it
                pass

    def _log(self, event_id: str | None) -> None:
        """Which log this is; a number of another one is of no use in it."""
        self._stored, self._started = event_id is None, False
        own = max(self._after, 0) >> BITS
        run = own if event_id is None else _run(self._question.generation_id, event_id)
        self._next = first = run << BITS
        if self._holds_text and run != own:
            self._refuses(first)
        elif run != own:
            self._after = first - 1

    def _begin(self) -> None:
        self._began = True
        self._make("response.created", response=response(self._question, "queued"))

    def _start(self) -> None:
        if not self._began:
            self._begin()
        if not self._started:
            self._started = True
            self._make("response.in_progress", response=response(self._question, "in_progress"))

    def _says(self, kind: Kind, text: str) -> None:
        if not text:
            return
        written = self._open
        if written is None or written.kind != kind:
            written = self._opens(kind)
        written.pieces.append(text)
        logprobs = _logprobs(kind)
        self._of_item(f"{_TEXTS[kind]}.delta", **written.place, delta=text, **logprobs)

    def _opens(self, kind: Kind) -> _Open:
        self._closes("completed")
        self._start()
        earlier = self._earlier(kind)
        name = f"{_IDS[kind]}_{self._question.reply_id}" + (f"_{earlier}" if earlier else "")
        self._open = opened = _Open(kind, name, len(self._items))
        item = opened.item("", "in_progress")
        self._of_item("response.output_item.added", output_index=opened.index, item=item)
        self._of_item("response.content_part.added", **opened.place, part=opened.part(""))
        return opened

    def _closes(self, status: Literal["completed", "incomplete"]) -> None:
        written, self._open = self._open, None
        if written is None:
            return
        text = "".join(written.pieces)
        logprobs = _logprobs(written.kind)
        self._of_item(f"{_TEXTS[written.kind]}.done", **written.place, text=text, **logprobs)
        self._of_item("response.content_part.done", **written.place, part=written.part(text))
        self._done(written.item(text, status))

    def _done(self, item: dict[str, Any]) -> None:
        self._of_item("response.output_item.done", output_index=len(self._items), item=item)
        self._items.append(item)

    def _earlier(self, kind: str) -> int:
        """Items of that kind before this one."""
        self._count[kind] += 1
        return self._count[kind] - 1

    def _calls(self, event: ToolCall) -> None:
        self._closes("completed")
        self._start()
        item = function_call(f"fc_{self._question.reply_id}_{self._earlier('function_call')}", event)
        place = {"item_id": item["id"], "output_index": len(self._items)}
        begun = {**item, "arguments": "", "status": "in_progress"}
        self._of_item("response.output_item.added", output_index=len(self._items), item=begun)
        self._of_item("response.function_call_arguments.delta", **place, delta=item["arguments"])
        self._of_item("response.function_call_arguments.done", **place, name=event.name, arguments=item["arguments"])
        self._done(item)

    def _restarts(self, *, in_log: bool) -> None:
        number = self._next if in_log else self._last
        self._next += in_log
        self._pending = [one for one in self._pending if not one[0]]
        self._items, self._open = [], None
        self._count.clear()
        if self._shown and not (in_log and number <= self._after):
            self._refuses(number)
        self._shown = False
        if not in_log:
            self._stored = True  # unless the log that took its place follows

    def _ends(self, end: TerminalEvent) -> None:
        if not self._began:
            self._begin()
        self._closes("completed" if isinstance(end, Completed) and is_whole(end.finish_reason) else "incomplete")
        self._next = max(self._next, self._after + 1) if self._stored else self._next
        told = response_ended(self._question, end, self._items)
        self._make(f"response.{_ENDS[told['status']]}", always=True, response=told)
        self.ended = True

    def _of_item(self, name: str, /, **fields: Any) -> None:
        self._make(name, of_item=True, **fields)

    def _make(self, name: str, /, *, of_item: bool = False, always: bool = False, **fields: Any) -> None:
        number = self._next
        self._next += 1
        behind = number <= self._after or (self._stored and self._holds_text)
        if of_item and behind:
            self._shown = True
        if always or not behind:
            self._pending.append((of_item, {"type": name, "sequence_number": number, **fields}))

    def _refuses(self, number: int) -> None:
        problem = problem_of(NotAnswered("restarted", f"{LOST} Get it again.", retryable=True))
        self._pending.append((False, self._error(problem, number)))
        self.ended = True

    def _error(self, problem: Problem, number: int) -> dict[str, Any]:
        """Its own clients read `error`, its documentation says what stands beside it."""
        error = openai_error_body(problem)["error"]
        beside = {name: error[name] for name in ("code", "message", "param")}
        return {"type": "error", "sequence_number": number, **beside, "error": error}


def _logprobs(kind: Kind) -> dict[str, list[Any]]:
    """Those of text are not told, and clients look for them."""
    return {"logprobs": []} if kind == "message" else {}


def _run(generation_id: str, first_id: str) -> int:
    """Whole seconds from the question to the birth of its log: 0, unless this log took the place of a lost one."""
    born = int(first_id.partition("-")[0]) // 1024
    return min(max(born - moment_of(generation_id), 0) // 1000, MOST_RUNS)


def _framed(event: dict[str, Any]) -> bytes:
    return b"event: " + event["type"].encode() + b"\ndata: " + one_line(orjson.dumps(event)) + b"\n\n"
