"""A generation as OpenAI's Responses API shows it whole.

It tells what is kept of a generation and nothing else: what was asked (instructions, tools, options) is not repeated. `tools`,
`tool_choice` and `parallel_tool_calls` are there because typed clients cannot do without.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import orjson

from api.errors import NotAnswered, problem_of
from api.following import Known
from api.projections.one_way import Whole
from api.projections.openai_errors import openai_error_body
from contracts.commands import Question
from contracts.events import terminal_event
from contracts.generation import Cancelled, Completed, Failed, TerminalEvent, ToolCallData, Usage
from contracts.ids import moment_of
from contracts.recording import message_of_outcome, outcome_of
from contracts.records import Message

PREFIX = "resp_"
Status = Literal["queued", "in_progress", "completed", "incomplete", "cancelled", "failed"]
ItemStatus = Literal["in_progress", "completed", "incomplete"]
Item = dict[str, Any]

_OF_STATE: dict[str, Status] = {"admitted": "queued", "accepted": "queued"}
_CUT_SHORT = {"length": "max_output_tokens", "content_filter": "content_filter"}
"""What ends a reply that is not whole, as OpenAI calls it."""


def response(
    question: Question,
    status: Status,
    output: Sequence[Item] = (),
    *,
    finish_reason: str | None = None,
    usage: Usage | None = None,
    error: Failed | None = None,
) -> dict[str, Any]:
    """A response. `finish_reason`: of a reply that came to its end, which may be `incomplete` by it."""
    cut = _CUT_SHORT.get(finish_reason or "")
    return {
        "id": PREFIX + question.generation_id,
        "object": "response",
        "created_at": moment_of(question.generation_id) // 1000,
        "status": "incomplete" if cut else status,
        "error": None if error is None else _error(error),
        "incomplete_details": {"reason": cut} if cut else None,
        "model": question.model,
        "output": list(output),
        "parallel_tool_calls": True,
        "tool_choice": "auto",
        "tools": [],
        "metadata": {},
        "store": True,
        "usage": None if usage is None else _usage(usage),
    }


def response_now(known: Known) -> dict[str, Any]:
    """A generation as it stands: with its output as soon as it has ended."""
    if known.message is not None:
        return _recorded(known.asked, known.message)
    question, shown = known.asked, known.shown
    if shown is not None and shown.state == "closed" and shown.outcome is not None:
        return _recorded(question, message_of_outcome(shown.outcome))
    return response(question, _OF_STATE.get(shown.state, "in_progress") if shown else "queued")


def response_of(question: Question, reply: Whole) -> dict[str, Any]:
    """A reply that came to its end."""
    status = "completed" if is_whole(reply.end.finish_reason) else "incomplete"
    return response_ended(
        question, reply.end, _items(question.reply_id, reply.thinking, reply.text, reply.calls, status)
    )


def response_ended(question: Question, end: TerminalEvent, output: Sequence[Item]) -> dict[str, Any]:
    """A response with this output, which ended so."""
    match end:
        case Completed():
            return response(question, "completed", output, finish_reason=end.finish_reason, usage=end.usage)
        case Cancelled():
            return response(question, "cancelled", output, usage=end.usage)
        case Failed():
            return response(question, "failed", output, error=end)


def is_whole(finish_reason: str | None) -> bool:
    """Whether the model said all that it wanted to."""
    return finish_reason not in _CUT_SHORT


def _recorded(question: Question, reply: Message) -> dict[str, Any]:
    if reply.status == "streaming":
        return response(question, "in_progress")
    whole = reply.status == "complete" and is_whole(reply.finish_reason)
    status = "completed" if whole else "incomplete"
    output = _items(reply.id, reply.thinking or "", reply.content, reply.tool_calls, status)
    return response_ended(question, terminal_event(outcome_of(reply)), output)


def _items(
    reply_id: str, thinking: str, text: str, calls: Sequence[ToolCallData], status: ItemStatus
) -> list[dict[str, Any]]:
    """The output: what was thought, what was said, what is called. `status`: of what was said; the rest stands."""
    found = [reasoning(f"rs_{reply_id}", thinking, "completed")] if thinking else []
    if text:
        found.append(message(f"msg_{reply_id}", text, status))
    return found + [function_call(f"fc_{reply_id}_{number}", one) for number, one in enumerate(calls)]


def reasoning(item_id: str, text: str, status: ItemStatus) -> Item:
    """What the model thought."""
    content = [{"type": "reasoning_text", "text": text}] if text else []
    return {"type": "reasoning", "id": item_id, "summary": [], "content": content, "status": status}


def message(item_id: str, text: str, status: ItemStatus) -> Item:
    """What the model said."""
    content = [text_part(text)] if text else []
    return {"type": "message", "id": item_id, "role": "assistant", "status": status, "content": content}


def text_part(text: str) -> dict[str, Any]:
    """A piece of a message."""
    return {"type": "output_text", "text": text, "annotations": [], "logprobs": []}


def function_call(item_id: str, call: ToolCallData) -> Item:
    """A call that the model makes."""
    arguments = orjson.dumps(call.arguments).decode()
    named = {"call_id": call.id, "name": call.name, "arguments": arguments}
    return {"type": "function_call", "id": item_id, **named, "status": "completed"}


def _error(error: Failed) -> Mapping[str, Any]:
    failed = NotAnswered(error.code, error.message, retryable=error.retryable)
    told = openai_error_body(problem_of(failed))["error"]
    return {"code": told["code"], "message": told["message"]}


def _usage(usage: Usage) -> dict[str, Any]:
    return {
        "input_tokens": usage.input_tokens,
        "input_tokens_details": {"cached_tokens": 0},
        "output_tokens": usage.output_tokens,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": usage.input_tokens + usage.output_tokens,
    }
